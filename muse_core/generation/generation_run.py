"""One denoiser of one run by names, opened into objects: whose latents, which size, which folder."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from muse_core import paths
from muse_core.callback import Callback
from muse_core.config.overrides import load_preset
from muse_core.config.preset import Preset, denoiser_named
from muse_core.config.stage import GenerationStage
from muse_core.data.sources import open_source
from muse_core.errors import unknown
from muse_core.foundations.pixel_decoder import load_autoencoder
from muse_core.foundations.text_tower import TextTower
from muse_core.generation.caption_embeddings import vocabulary
from muse_core.generation.codecs import Codec, codec_of
from muse_core.generation.denoiser import build_denoiser
from muse_core.generation.denoiser_task import Conditions, DenoiserTask
from muse_core.generation.latent_normalisation import LatentNormalisation
from muse_core.generation.latents import FreshLatents, StoredLatents
from muse_core.generation.snapshots import Snapshots
from muse_core.training.distributed import accelerator_for
from muse_core.training.launch import Launch
from muse_core.training.saving import save_whole
from muse_core.training.stage_run import StageRun, finished_tokenizer
from muse_core.training.trainer import RunFiles, RunOptions, StageResult, Trainer

MUSE, SHARED, AUTOENCODER = "muse", "shared", "autoencoder"
LATENTS = {MUSE: "MUSE", SHARED: "shared routing", AUTOENCODER: "plain autoencoder"}
"""Whose latents -> how tables and figures call them."""

MEASURED_LATENTS = 2048
NORMALISATION_FOLDER = "latent_normalisation"


@dataclass(frozen=True, kw_only=True)
class GenerationRun:
    """One denoiser of one run by names.

    Args:
        latents: A name of `LATENTS`.
        tokenizers: The run whose tokenizers are used, "" for this one.
        stored: Whether latents are kept on disk.
    """

    run: str
    preset: str
    latents: str = MUSE
    data: str = "scenes"
    overrides: str = ""
    tokenizers: str = ""
    seed: int = 0
    stored: bool = True
    device: str = "auto"
    resume: bool = False
    fresh: bool = False
    processes: int = 1

    def load_preset(self) -> Preset:
        """The preset with this run's overrides. Raises MuseError for an unknown name."""
        preset = load_preset(self.preset, self.overrides, "08_generation")
        if self.latents not in LATENTS:
            raise unknown("kind of latents", self.latents, LATENTS)
        denoiser_named(preset.generation.denoiser)
        return preset

    def load_stage(self) -> GenerationStage:
        """The generator's stage with this run's overrides."""
        return self.load_preset().generation

    @property
    def home(self) -> Path:
        """Of all denoisers of the run, and of their stored latents."""
        return paths.run_folder(self.run) / self.load_stage().name

    @property
    def files(self) -> RunFiles:
        return RunFiles(self.run, f"{self.load_stage().name}/{self.latents}")

    @property
    def snapshots(self) -> Path:
        """Denoisers along the way."""
        return self.files.folder / "snapshots"

    def tokenizer_run(self) -> StageRun:
        """The stage of the run (or of its baseline) whose tokenizer is generated for: the last of
        the curriculum.
        """
        shared = self.latents == SHARED
        return StageRun(
            run=(self.tokenizers or self.run) + ("-shared" if shared else ""),
            preset=self.preset,
            stage=self.load_preset().curriculum.stages[-1].name,
            data=self.data,
            overrides=_of_tokenizers(self.overrides) + (" routing=shared" if shared else ""),
            device=self.device,
        )

    def order(self, trainer: Trainer, files: RunFiles) -> "GenerationRun":
        """What another process needs to train the same denoiser: these names."""
        return self

    module = "muse_core.generation"

    def open(self) -> "OpenedGeneration":
        """Everything that training needs, loaded. Raises MuseError for what is not there."""
        return OpenedGeneration(self, self.load_preset())


@dataclass(frozen=True)
class OpenedGeneration:
    """The objects of one denoiser's training."""

    named: GenerationRun
    preset: Preset

    @property
    def stage(self) -> GenerationStage:
        return self.preset.generation

    @cached_property
    def device(self) -> torch.device:
        return accelerator_for(self.named.device).device

    @cached_property
    def codec(self) -> Codec:
        return load_codec(self.named, self.device)

    @cached_property
    def latents(self) -> StoredLatents | FreshLatents:
        """The latents of the training images, stored on disk once where the run says so."""
        source = open_source(self.named.data, "train", self.preset.image_size).described()
        accelerator = accelerator_for(self.named.device)
        with accelerator.main_process_first():
            if self.named.stored:
                folder = self.named.home / "latents"
                return StoredLatents.of(self.codec, source, self.stage.images, folder)
            return FreshLatents(self.codec, source, self.stage.images)

    @cached_property
    def conditions(self) -> Conditions:
        """Codec, statistics of its latents, and text tower."""
        count = min(MEASURED_LATENTS, len(self.latents))
        sample = self.latents.__getitems__(list(range(count)))
        codec = self.codec.fingerprint
        normalisation = LatentNormalisation.measured(sample.latents, codec)
        if accelerator_for(self.named.device).is_main_process:
            save_whole(normalisation, self.named.home / NORMALISATION_FOLDER / codec)
        text = TextTower.from_pretrained(self.preset.foundations.text_tower)
        return Conditions(self.codec, normalisation, text, " ".join(vocabulary(sample.captions)))

    def denoiser(self) -> Any:
        """A new denoiser of the stage's size, random by the run's seed."""
        torch.manual_seed(self.named.seed)
        first = self.latents.__getitems__([0]).latents
        width = self.conditions.text.network.config.hidden_size
        return build_denoiser(denoiser_named(self.stage.denoiser), *first.shape[1:3], width)

    def trainer(self, callbacks: Iterable[Callback] = ()) -> Trainer:
        """The trainer of this denoiser, ready to fit; snapshots are kept on the way."""
        named, preset = self.named, self.preset
        options = RunOptions(
            run=named.run,
            seed=named.seed,
            device=named.device,
            resume=named.resume,
            fresh=named.fresh,
            launch=Launch(named.processes, preset.accelerate_config),
            recipe=named,
            place=named.files.place,
            record_every=preset.record_every,
            trackers=preset.trackers,
            notes={
                "preset": named.preset,
                "overrides": named.overrides,
                "data": named.data,
                "latents": named.latents,
            },
        )
        # In processes of their own, each keeps its snapshots.
        looking = () if options.launch.wanted else (Snapshots(named.snapshots, self.stage.steps),)
        return Trainer(
            self.denoiser(),
            self.stage,
            self.latents,
            self.conditions,
            callbacks=[*callbacks, *looking],
            options=options,
            task=DenoiserTask,
        )


def train_generator(named: GenerationRun, callbacks: Iterable[Callback] = ()) -> StageResult:
    """Train one denoiser by names, without a notebook."""
    return named.open().trainer(callbacks).fit()


def load_codec(named: GenerationRun, device: torch.device | str = "cpu") -> Codec:
    """What makes the run's latents.

    Raises:
        MuseError: A tokenizer is not there yet, with the command that makes it.
    """
    if named.latents == AUTOENCODER:
        return codec_of(load_autoencoder(named.load_preset().foundations.autoencoder).to(device))
    stage = named.tokenizer_run()
    return codec_of(finished_tokenizer(stage, stage.stage).to(device))


def _of_tokenizers(overrides: str) -> str:
    """The overrides without those of the generator's own stage."""
    words = overrides.split()
    return " ".join(word for word in words if not word.startswith(("stage.", "08")))
