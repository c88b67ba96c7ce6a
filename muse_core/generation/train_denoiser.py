"""`train_generator`: one denoiser on one kind of latents, from stored latents to a saved pipeline."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from muse_core import paths
from muse_core.config.preset import denoiser_named
from muse_core.config.stage import GenerationStage
from muse_core.data.batch import Source
from muse_core.data.sources import open_source
from muse_core.foundations.text_tower import TextTower
from muse_core.generation.caption_embeddings import vocabulary
from muse_core.generation.codecs import Codec
from muse_core.generation.denoiser import build_denoiser
from muse_core.generation.denoiser_trainer import GeneratorTrainer
from muse_core.generation.generation_run import GenerationRun, GeneratorRecord, load_codec
from muse_core.generation.latent_normalisation import LatentNormalisation
from muse_core.generation.latents import FreshLatents, StoredLatents
from muse_core.generation.pipeline import MusePipeline
from muse_core.generation.snapshots import Snapshots
from muse_core.results.records import provenance, read_record, write_json
from muse_core.training.engine import Engine, Trained
from muse_core.training.fsdp import refuse
from muse_core.training.launch import train_launched
from muse_core.training.learner import Observer, Progress, Row
from muse_core.training.run_lock import run_lock
from muse_core.training.saving import save_whole
from muse_core.training.trainer import accelerator_for

MEASURED_LATENTS = 2048
NORMALISATION_FOLDER = "latent_normalisation"


@dataclass
class GeneratorResult:
    """``pipeline`` carries the EMA weights; ``rows`` is the metrics file."""

    pipeline: MusePipeline
    record: GeneratorRecord
    rows: list[Row]


def train_generator(
    run: GenerationRun,
    progress: Progress | None = None,
    observers: Mapping[str, Observer] = MappingProxyType({}),
) -> GeneratorResult:
    """Train one denoiser, from its start or (``run.resume``) from its last checkpoint; a finished
    one is loaded.

    Writes stored latents, latent statistics, checkpoints and the whole pipeline under
    ``data/runs``, metrics and a record under ``reports``. Raises MuseError for anything the caller
    can mend, a tokenizer that changed since the last checkpoint included."""
    stage = run.load_stage()
    for folder in (run.folder, run.metrics_file.parent):
        paths.writable(folder)
    if run.launch.wanted:
        rows = train_launched(
            run, run.launch, "muse_core.generation", stage.steps, progress, observers
        )
        return _finished(run, read_record(run.record_file, GeneratorRecord), rows)
    with run_lock(run):
        return _train_here(run, progress, observers)


def _train_here(
    run: GenerationRun, progress: Progress | None, observers: Mapping[str, Observer]
) -> GeneratorResult:
    stage, preset = run.load_stage(), run.load_preset()
    accelerator = accelerator_for(run.device, run.launch)
    refuse(accelerator, "The generator's training")
    codec = load_codec(run, accelerator.device)
    run = replace(run, tokenizer=codec.fingerprint)
    source = open_source(run.data, "train", preset.image_size).described()
    with accelerator.main_process_first():
        latents = _latents(run, stage, codec, source)
    sample = latents.__getitems__(list(range(min(MEASURED_LATENTS, len(latents)))))
    normalisation = LatentNormalisation.measured(sample.latents, codec.fingerprint)
    if accelerator.is_main_process:
        save_whole(normalisation, run.home / NORMALISATION_FOLDER / codec.fingerprint)
    text = TextTower.from_pretrained(preset.foundations.text_tower)
    torch.manual_seed(run.seed)
    denoiser = build_denoiser(
        denoiser_named(stage.denoiser), *sample.latents.shape[1:3], text.network.config.hidden_size
    )
    trainer = GeneratorTrainer(denoiser, stage, normalisation, text, accelerator)
    known = " ".join(vocabulary(sample.captions))
    trained = Engine(run, stage, trainer, latents, 0, preset.record_every).train(
        progress, {"snapshots": Snapshots(run.snapshots, stage.steps), **observers}
    )
    record = _record(run, stage, trainer, latents.fingerprint, trained)
    if accelerator.is_main_process:
        with trainer.averaged():
            save_whole(as_pipeline(trainer, codec, known), run.finished)
        write_json(run.record_file, record)
    accelerator.wait_for_everyone()
    return _finished(run, record, trained.journal.rows)


def _finished(run: GenerationRun, record: GeneratorRecord, rows: list[Row]) -> GeneratorResult:
    pipeline = MusePipeline.from_pretrained(run.finished).to(accelerator_for(run.device).device)
    return GeneratorResult(pipeline, record, rows)


def as_pipeline(trainer: GeneratorTrainer, codec: Codec, known_words: str = "") -> MusePipeline:
    """The denoiser as it is now, with all it needs to draw; inside `GeneratorTrainer.averaged` that
    is the moving average.
    """
    pipeline = MusePipeline(
        codec.network,
        trainer.text.network,
        trainer.text.tokenizer,
        trainer.denoiser,
        FlowMatchEulerDiscreteScheduler(shift=trainer.stage.shift),
        trainer.normalisation,
        known_words,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _latents(
    run: GenerationRun, stage: GenerationStage, codec: Codec, source: Source
) -> StoredLatents | FreshLatents:
    if run.stored:
        return StoredLatents.of(codec, source, stage.images, run.home / "latents")
    return FreshLatents(codec, source, stage.images)


def _record(
    run: GenerationRun,
    stage: GenerationStage,
    trainer: GeneratorTrainer,
    fingerprint: str,
    trained: Trained,
) -> GeneratorRecord:
    return GeneratorRecord(
        run=run.run,
        preset=run.preset,
        latents=run.latents,
        data=run.data,
        data_fingerprint=fingerprint,
        tokenizer=run.tokenizer,
        denoiser=stage.denoiser,
        parameters=sum(weight.numel() for weight in trainer.weights.values()),
        seed=run.seed,
        steps=stage.steps,
        batch_size=stage.batch_size,
        images=stage.images,
        resumed_at=trained.start,
        seconds=round(trained.seconds, 1),
        images_per_second=round(stage.steps * stage.batch_size / max(trained.seconds, 1e-9), 1),
        losses=trained.journal.losses(),
        files_skipped=sorted(trained.journal.skipped),
        observers=trained.observers,
        processes=trainer.accelerator.num_processes,
        data_wait_share=trained.data_wait_share,
        bad_steps=trained.journal.bad_steps,
        workers_died=trained.journal.workers_died,
        provenance=provenance(str(trainer.accelerator.device)),
    )
