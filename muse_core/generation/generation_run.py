"""What one denoiser of one run is: on which latents, of which size, in which folder."""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from muse_core import paths
from muse_core.config.preset import FoundationChoice, Preset, denoiser_named
from muse_core.config.presets import preset_named
from muse_core.config.stage import GenerationStage
from muse_core.errors import MuseError, unknown
from muse_core.foundations.pixel_decoder import load_autoencoder
from muse_core.generation.codecs import Codec, codec_of
from muse_core.results.records import Provenance
from muse_core.training.launch import Launch
from muse_core.training.stage_run import StageRun, finished_tokenizer

MUSE, SHARED, AUTOENCODER = "muse", "shared", "autoencoder"
LATENTS = {MUSE: "MUSE", SHARED: "shared routing", AUTOENCODER: "plain autoencoder"}
"""Whose latents -> how tables and figures call them."""

PIPELINE_FOLDER = "pipeline"


@dataclass(frozen=True)
class GenerationRun:
    """``latents``: a name of `LATENTS`; ``tokenizers``: the run whose tokenizers are used, "" for
    this one.

    ``steps``, ``batch_size``, ``images`` None and ``denoiser`` "" mean the preset's. ``stored``:
    latents are kept on disk."""

    run: str
    preset: str
    latents: str = MUSE
    data: str = "scenes"
    tokenizers: str = ""
    seed: int = 0
    steps: int | None = None
    batch_size: int | None = None
    images: int | None = None
    denoiser: str = ""
    stored: bool = True
    device: str = "auto"
    resume: bool = False
    foundations: FoundationChoice = field(default_factory=FoundationChoice)
    launch: Launch = field(default_factory=Launch)
    tokenizer: str = field(default="", compare=False)
    """Fingerprint of the tokenizer, once it is loaded."""

    def load_preset(self) -> Preset:
        """The preset with this run's pretrained parts. Raises MuseError for an unknown preset."""
        return self.foundations.applied(preset_named(self.preset))

    def load_stage(self) -> GenerationStage:
        """The preset's generation stage with this run's numbers. Raises MuseError for negative ones
        and unknown names.
        """
        if self.latents not in LATENTS:
            raise unknown("kind of latents", self.latents, LATENTS)
        if min(self.steps or 0, self.batch_size or 0, self.images or 0) < 0:
            raise MuseError(
                f"steps, batch_size and images must not be negative (got {self.steps}, {self.batch_size} and "
                f"{self.images}): 0 means what the preset says."
            )
        stage = self.load_preset().generation
        denoiser_named(self.denoiser or stage.denoiser)
        chosen = {
            "steps": self.steps,
            "batch_size": self.batch_size,
            "images": self.images,
            "denoiser": self.denoiser,
        }
        return replace(stage, **{name: value for name, value in chosen.items() if value})

    @property
    def stage(self) -> str:
        return f"{self.load_preset().generation.name} ({self.latents})"

    @property
    def home(self) -> Path:
        """Of all denoisers of the run, and of their stored latents."""
        return paths.run_folder(self.run) / self.load_preset().generation.name

    @property
    def folder(self) -> Path:
        return self.home / self.latents

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def finished(self) -> Path:
        """The whole pipeline; `MusePipeline.from_pretrained` reads it."""
        return self.folder / PIPELINE_FOLDER

    @property
    def snapshots(self) -> Path:
        """Denoisers along the way."""
        return self.folder / "snapshots"

    @property
    def metrics_file(self) -> Path:
        return (
            paths.records_folder(self.run)
            / f"{self.load_preset().generation.name}_{self.latents}.jsonl"
        )

    @property
    def record_file(self) -> Path:
        return self.metrics_file.with_suffix(".json")

    def facts(self) -> dict[str, Any]:
        """What must not change between an interrupted run and its continuation; the tokenizer is
        part of it.
        """
        stage = self.load_stage()
        kept = {
            key: value
            for key, value in asdict(self).items()
            if key not in ("device", "resume", "stored", "launch")
        }
        return kept | {
            "steps": stage.steps,
            "batch_size": stage.batch_size,
            "images": stage.images,
            "denoiser": stage.denoiser,
            "foundations": self.foundations.as_arguments()
            or None,  # None: also what older checkpoints say
        }

    def tokenizer_run(self) -> StageRun:
        """The stage of the run (or of its baseline) whose tokenizer is generated for: the last of
        the curriculum.
        """
        last = self.load_preset().curriculum.stages[-1].name
        shared = self.latents == SHARED
        run = (self.tokenizers or self.run) + ("-shared" if shared else "")
        routing = "shared" if shared else "orthogonal"
        return StageRun(
            run,
            self.preset,
            last,
            self.data,
            routing,
            device=self.device,
            foundations=self.foundations,
        )


def load_codec(run: GenerationRun, device: torch.device | str = "cpu") -> Codec:
    """What makes the run's latents. Raises MuseError, with the command that helps, where a
    tokenizer is not there yet.
    """
    if run.latents == AUTOENCODER:
        return codec_of(load_autoencoder(run.load_preset().foundations.autoencoder).to(device))
    stage = run.tokenizer_run()
    return codec_of(finished_tokenizer(stage, stage.stage).to(device))


@dataclass(frozen=True)
class GeneratorRecord:
    """``records/08_generation_LATENTS.json``; ``losses`` as in
    `muse_core.training.stage_run.StageRecord`.
    """

    run: str
    preset: str
    latents: str
    data: str
    data_fingerprint: str
    tokenizer: str
    denoiser: str
    parameters: int
    seed: int
    steps: int
    batch_size: int
    images: int
    resumed_at: int
    seconds: float
    images_per_second: float
    losses: dict[str, dict[str, float]]
    files_skipped: list[str]
    observers: dict[str, float]
    provenance: Provenance
    processes: int = 1
    data_wait_share: float = 0.0
    bad_steps: list[int] = field(default_factory=list)
    workers_died: int = 0
