"""`train_stage`: any stage of the tokenizer. What happens is in the `Stage` it is given; the engine
does the steps.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch

from muse_core import paths
from muse_core.config.stage import Stage
from muse_core.data.batch import Source
from muse_core.data.sources import open_source
from muse_core.models.assembly import assemble_tokenizer
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.results.records import provenance, read_record, write_json
from muse_core.training.engine import Engine, Trained
from muse_core.training.launch import train_launched
from muse_core.training.learner import Observer, Progress, Row
from muse_core.training.model_card import write_model_card
from muse_core.training.run_lock import run_lock
from muse_core.training.saving import save_whole
from muse_core.training.stage_run import StageRecord, StageRun, finished_tokenizer
from muse_core.training.teachers import Teachers, load_teachers
from muse_core.training.trackers import check_trackers
from muse_core.training.trainer import Trainer, accelerator_for

CALIBRATION_IMAGES = 128


@dataclass
class StageResult:
    """``tokenizer`` carries the EMA weights; ``rows`` is the metrics file."""

    tokenizer: MuseTokenizer
    record: StageRecord
    rows: list[Row]


def starting_tokenizer(run: StageRun, teachers: Teachers, source: Source) -> MuseTokenizer:
    """A new tokenizer, calibrated on images of ``source``, or the one the earlier stage left.

    Raises MuseError where that is missing.
    """
    stage = run.load_stage()
    if stage.starts_from is None:
        torch.manual_seed(run.seed)
        images = source.first(CALIBRATION_IMAGES).images.to(next(teachers.text.parameters()).device)
        return assemble_tokenizer(run.load_preset(), teachers.text.width, run.routing, images)
    return finished_tokenizer(run, stage.starts_from)


def train_stage(
    run: StageRun,
    progress: Progress | None = None,
    observers: Mapping[str, Observer] = MappingProxyType({}),
) -> StageResult:
    """Train one stage of one run, from its start or (``run.resume``) from its last checkpoint.

    Here, or in the processes that ``run.launch`` asks for; each process of a launcher calls this
    function. Writes checkpoints and the finished tokenizer under ``data/runs``, metrics and the
    stage's record under ``reports``. Raises MuseError for anything the caller can mend; a
    non-finite loss keeps the last good checkpoint. Another process that trains this stage of this
    run is one of them."""
    stage = run.load_stage()
    check_trackers(run.trackers)
    for folder in (run.folder, run.metrics_file.parent):
        paths.writable(folder)
    if run.launch.wanted:
        rows = train_launched(
            run, run.launch, "muse_core.training", stage.steps, progress, observers
        )
        return _finished(run, read_record(run.record_file, StageRecord), rows)
    with run_lock(run):
        return _train_here(run, progress, observers)


def _train_here(
    run: StageRun, progress: Progress | None, observers: Mapping[str, Observer]
) -> StageResult:
    stage, preset = run.load_stage(), run.load_preset()
    accelerator = accelerator_for(run.device, run.launch)
    source = open_source(run.data, "train", preset.image_size)
    teachers = load_teachers(preset, accelerator.device)
    tokenizer = starting_tokenizer(run, teachers, source)
    torch.manual_seed(run.seed)
    trainer = Trainer(tokenizer, stage, teachers, accelerator)
    engine = Engine(
        run, stage, trainer, source, preset.loader_workers, preset.record_every, run.trackers
    )
    trained = engine.train(progress, observers)
    record = _record(run, stage, trainer, source, trained)
    with trainer.averaged() as averaged:
        if accelerator.is_main_process:
            save_whole(averaged, run.tokenizer_folder)
            write_json(run.record_file, record)
            write_model_card(run.tokenizer_folder, record)
    accelerator.wait_for_everyone()
    return _finished(run, record, trained.journal.rows)


def _finished(run: StageRun, record: StageRecord, rows: list[Row]) -> StageResult:
    final = MuseTokenizer.from_pretrained(run.tokenizer_folder)
    return StageResult(final.to(accelerator_for(run.device).device).eval(), record, rows)


def _record(
    run: StageRun, stage: Stage, trainer: Trainer, source: Source, trained: Trained
) -> StageRecord:
    journal = trained.journal
    return StageRecord(
        stage=stage.name,
        run=run.run,
        preset=run.preset,
        data=run.data,
        data_fingerprint=source.fingerprint,
        routing=run.routing,
        seed=run.seed,
        steps=stage.steps,
        batch_size=stage.batch_size,
        resumed_at=trained.start,
        seconds=round(trained.seconds, 1),
        images_per_second=round(stage.steps * stage.batch_size / max(trained.seconds, 1e-9), 1),
        losses=journal.losses(),
        trainable_parameters=sum(weight.numel() for weight in trainer.weights.values()),
        changes=run.changes,
        foundations=run.foundations,
        perceptual_network=trainer.teachers.perceptual.name,
        files_skipped=sorted(journal.skipped),
        files_enlarged=len(journal.enlarged),
        observers=trained.observers,
        processes=trainer.accelerator.num_processes,
        data_wait_share=trained.data_wait_share,
        bad_steps=journal.bad_steps,
        workers_died=journal.workers_died,
        captions_truncated=trainer.teachers.text.truncated,
        provenance=provenance(str(trainer.accelerator.device)),
    )
