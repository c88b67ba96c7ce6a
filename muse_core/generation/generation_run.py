"""One denoiser of one run by names, opened into objects: whose latents, what size, where."""

import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import SanaTransformer2DModel

from muse_core import paths
from muse_core.callback import Callback
from muse_core.config.overrides import parse
from muse_core.config.preset import Preset, denoiser_named
from muse_core.config.stage import GenerationStage
from muse_core.data.batch import Source
from muse_core.data.sources import open_source
from muse_core.errors import MuseError, chosen
from muse_core.foundations.pixel_decoder import load_autoencoder
from muse_core.foundations.text_tower import TextTower
from muse_core.generation.caption_embeddings import vocabulary
from muse_core.generation.codecs import Codec
from muse_core.generation.denoiser import build_denoiser
from muse_core.generation.denoiser_task import Conditions, DenoiserTask
from muse_core.generation.latent_normalisation import LatentNormalisation
from muse_core.generation.latents import StoredLatents
from muse_core.generation.snapshots import Snapshots
from muse_core.training.distributed import device_for, processes_for
from muse_core.training.saving import save_whole
from muse_core.training.stage_run import NamedRun, StageRun, finished_tokenizer, preset_of_run
from muse_core.training.trainer import RunFiles, RunOptions, StageResult, Trainer

MUSE, SHARED, AUTOENCODER = "muse", "shared", "autoencoder"
OWN = "own"
"""Latents of a tokenizer that the caller holds."""
LATENTS = {MUSE: "MUSE", SHARED: "shared routing", AUTOENCODER: "plain autoencoder"}
"""Whose latents -> how tables and figures call them."""

MEASURED_LATENTS = 2048
NORMALISATION_FOLDER = "latent_normalisation"
NAME = "08_generation"


@dataclass(frozen=True, kw_only=True)
class GenerationRun(NamedRun):
    """One denoiser of one run by names.

    Args:
        latents: A name of `LATENTS`.
        tokenizers: The run whose tokenizers are used, "" for this one.
    """

    latents: str = MUSE
    tokenizers: str = ""
    module: ClassVar[str] = "muse_core.generation"
    """What each process of a launcher runs."""

    @classmethod
    def of(cls, parameters: Any, latents: str = MUSE) -> "GenerationRun":
        """What the parameters of notebook 08 name.

        Args:
            parameters: ``lab.parameters``.
            latents: A name of `LATENTS`.
        """
        names = [field.name for field in fields(cls) if field.name != "latents"]
        return cls(latents=latents, **{name: getattr(parameters, name) for name in names})

    def load_preset(self) -> Preset:
        """The preset with this run's overrides. Raises MuseError for an unknown name."""
        run = self.tokenizers or self.run
        preset = preset_of_run(run, self.preset, self.overrides, NAME)
        chosen("kind of latents", self.latents, LATENTS)
        denoiser_named(preset.generation.denoiser)
        return preset

    @property
    def home(self) -> Path:
        """Of all denoisers of the run, and of their stored latents."""
        return paths.run_folder(self.run) / NAME

    @property
    def files(self) -> RunFiles:
        return RunFiles(self.run, f"{NAME}/{self.latents}")

    @property
    def snapshots(self) -> Path:
        """Denoisers along the way."""
        return self.files.folder / "snapshots"

    def tokenizer_run(self) -> StageRun:
        """The last stage of the run, or of its baseline, whose tokenizer is generated for."""
        shared, given = self.latents == SHARED, parse(self.overrides)
        # "stage." means the generator's own.
        kept = {path: given[path] for path in given if not path.startswith(("stage.", "08"))}
        kept |= {"routing": "shared"} if shared else {}
        return StageRun(
            run=(self.tokenizers or self.run) + ("-shared" if shared else ""),
            preset=self.preset,
            stage=self.load_preset().curriculum.stages[-1].name,
            data=self.data,
            overrides=" ".join(shlex.quote(f"{path}={value}") for path, value in kept.items()),
            device=self.device,
        )

    def order(self, trainer: Trainer, files: RunFiles) -> "GenerationRun":
        """What another process needs to train the same denoiser: these names.

        Raises:
            MuseError: Stage or losses are not what the names stand for.
        """
        self.check_precision(trainer, preset := self.load_preset())
        if trainer.losses or trainer.stage != preset.generation:
            raise MuseError(
                "Other processes know the generator's stage by its preset and overrides alone: "
                "change it there, or leave processes at 1."
            )
        return replace(self, fresh=trainer.options.fresh)

    def open(self, stage: GenerationStage | None = None) -> "OpenedGeneration":
        """Everything that training needs.

        Args:
            stage: Trained instead of the preset's.

        Raises:
            MuseError: A tokenizer is not there yet, with the command that makes it.
        """
        preset = self.load_preset()
        if stage is not None:
            preset = replace(preset, generation=stage)
        return OpenedGeneration(self, preset, load_codec(self, device_for(self.device)))


@dataclass(frozen=True)
class OpenedGeneration:
    """The objects of one denoiser's training."""

    named: GenerationRun
    preset: Preset
    codec: Codec

    @property
    def stage(self) -> GenerationStage:
        """Sizes, steps, rates; how captions are dropped and times are drawn."""
        return self.preset.generation

    @cached_property
    def train(self) -> Source:
        """The training images, with captions that tell all there is to tell."""
        return open_source(self.named.data, "train", self.preset.image_size).described()

    @cached_property
    def latents(self) -> StoredLatents:
        """The latents of the training images, encoded once and stored."""
        with processes_for(self.named.device).main_process_first():
            folder = self.named.home / "latents"
            return StoredLatents.of(self.codec, self.train, self.stage.images, folder)

    @cached_property
    def conditions(self) -> Conditions:
        """What stays as it is: codec, statistics of its latents, text tower, on the device."""
        sample, codec = self.latents.first(MEASURED_LATENTS), self.codec.fingerprint
        normalisation: Any = LatentNormalisation.measured(sample.latents, codec)
        if processes_for(self.named.device).is_main_process:
            save_whole(normalisation, self.named.home / NORMALISATION_FOLDER / codec)
        text = TextTower.from_pretrained(self.preset.foundations.text_tower)
        device, known = self.codec.device, " ".join(vocabulary(sample.captions))
        text = text.to(device).eval().requires_grad_(False)
        return Conditions(self.codec, normalisation.to(device), text, known)

    def denoiser(self) -> SanaTransformer2DModel:
        """A new denoiser of the stage's size, random by the run's seed, on the device."""
        torch.manual_seed(self.named.seed)
        channels, side = self.latents.latents.shape[1:3]
        width = self.conditions.text.network.config.hidden_size
        shape = denoiser_named(self.stage.denoiser)
        denoiser: Any = build_denoiser(shape, channels, side, width)
        return denoiser.to(self.codec.device)

    @property
    def options(self) -> RunOptions:
        """Where and how the denoiser is trained."""
        notes, place = {"latents": self.named.latents}, self.named.files.place
        return self.named.options(self.preset, notes, place=place)

    def trainer(
        self,
        callbacks: Iterable[Callback] = (),
        losses: Mapping[str, Callable[..., Any]] | None = None,
    ) -> Trainer:
        """The trainer of this denoiser, ready to fit; snapshots are kept on the way.

        Args:
            callbacks: Hooks that look on.
            losses: Name -> function of the predicted velocity, the latents and the noise; None for
                flow matching alone.
        """
        options, hooks = self.options, list(callbacks)
        # Processes of a launcher keep the snapshots themselves.
        if not options.launch.wanted:
            hooks.append(Snapshots(self.named.snapshots, self.stage.steps))
        made = self.denoiser(), self.stage, self.latents, self.conditions
        return Trainer(*made, losses, hooks, options=options, task=DenoiserTask)


def train_generator(named: GenerationRun, callbacks: Iterable[Callback] = ()) -> StageResult:
    """Train one denoiser by names, without a notebook."""
    return named.open().trainer(callbacks).fit()


def load_codec(named: GenerationRun, device: torch.device | str = "cpu") -> Codec:
    """What makes the run's latents.

    Raises:
        MuseError: A tokenizer is not there yet, with the command that makes it.
    """
    if named.latents == AUTOENCODER:
        network: Any = load_autoencoder(named.load_preset().foundations.autoencoder)
    else:
        stage = named.tokenizer_run()
        network = finished_tokenizer(stage, stage.stage)
    return Codec(network.to(device))
