"""What one stage of one run is: its configuration, its folders, its record."""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from muse_core import paths
from muse_core.config.curriculum import Changes, changed, shortened
from muse_core.config.preset import FoundationChoice, Preset
from muse_core.config.presets import preset_named
from muse_core.config.stage import Stage
from muse_core.errors import MuseError
from muse_core.models.gradient_routes import routing_named
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.results.records import Provenance
from muse_core.training.launch import Launch

NOT_FACTS = {"device", "resume", "launch", "trackers", "bad_steps"}
"""What may change between an interrupted run and its continuation."""


@dataclass(frozen=True)
class StageRun:
    """One stage of one run, as a notebook's parameters describe it; ``steps`` and ``batch_size``
    None mean the preset's.
    """

    run: str
    preset: str
    stage: str
    data: str = "scenes"
    routing: str = "orthogonal"
    seed: int = 0
    steps: int | None = None
    batch_size: int | None = None
    device: str = "auto"
    resume: bool = False
    changes: Changes = field(default_factory=Changes)
    share: float = 1.0
    """Of the steps of every stage; for studies of many short runs."""
    foundations: FoundationChoice = field(default_factory=FoundationChoice)
    launch: Launch = field(default_factory=Launch)
    bad_steps: int = 0
    """How many steps may be skipped because their loss or gradient is not finite."""
    trackers: tuple[str, ...] = ()
    """Names of `muse_core.training.trackers.TRACKERS` that hear the metrics as well."""

    def load_preset(self) -> Preset:
        """The preset with this run's curriculum and pretrained parts. Raises MuseError for an
        unknown preset or change.
        """
        preset = self.foundations.applied(preset_named(self.preset))
        return replace(
            preset, curriculum=shortened(changed(preset.curriculum, self.changes), self.share)
        )

    def load_stage(self) -> Stage:
        """The preset's stage, with this run's steps and batch size.

        Raises MuseError for negative ones, and for an unknown preset, stage or routing.
        """
        routing_named(self.routing)
        if self.bad_steps < 0:
            raise MuseError(
                f"bad_steps must not be negative (got {self.bad_steps}): 0 stops at the first one."
            )
        if min(self.steps or 0, self.batch_size or 0) < 0:
            raise MuseError(
                f"steps and batch_size must not be negative (got {self.steps} and {self.batch_size}): "
                "0 means what the preset says."
            )
        stage = self.load_preset().curriculum[self.stage]
        chosen = {"steps": self.steps, "batch_size": self.batch_size, "bad_steps": self.bad_steps}
        return replace(stage, **{name: value for name, value in chosen.items() if value})

    @property
    def folder(self) -> Path:
        return paths.run_folder(self.run) / self.stage

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def tokenizer_folder(self) -> Path:
        """Where the finished stage's tokenizer (EMA weights) lies; `MuseTokenizer.from_pretrained`
        reads it.
        """
        return self.folder / "tokenizer"

    @property
    def finished(self) -> Path:
        return self.tokenizer_folder

    @property
    def metrics_file(self) -> Path:
        return paths.records_folder(self.run) / f"{self.stage}.jsonl"

    @property
    def record_file(self) -> Path:
        """``stage1.json`` for 01_topology_warmup, and so on: by the stage's place in the
        curriculum.
        """
        names = [stage.name for stage in self.load_preset().curriculum]
        return paths.records_folder(self.run) / f"stage{names.index(self.stage) + 1}.json"

    def facts(self) -> dict[str, Any]:
        """What must not change between an interrupted run and its continuation."""
        stage = self.load_stage()
        return {key: value for key, value in asdict(self).items() if key not in NOT_FACTS} | {
            "steps": stage.steps,
            "batch_size": stage.batch_size,
            "foundations": self.foundations.as_arguments()
            or None,  # None: also what older checkpoints say
        }


@dataclass(frozen=True)
class StageRecord:
    """``records/stageN.json``. ``losses``: term -> {"first": step 1, "last": mean of the last ten
    steps}.
    """

    stage: str
    run: str
    preset: str
    data: str
    data_fingerprint: str
    routing: str
    seed: int
    steps: int
    batch_size: int
    resumed_at: int
    seconds: float
    images_per_second: float
    losses: dict[str, dict[str, float]]
    trainable_parameters: int
    perceptual_network: str
    files_skipped: list[str]
    files_enlarged: int
    provenance: Provenance
    held_out: dict[str, Any] = field(default_factory=dict)
    changes: Changes = field(default_factory=Changes)
    foundations: FoundationChoice = field(default_factory=FoundationChoice)
    observers: dict[str, float] = field(default_factory=dict)
    """Name of each observer -> the seconds it took, not counted in ``seconds``."""
    processes: int = 1
    """They share the ``batch_size`` images of a step."""
    data_wait_share: float = 0.0
    """Of ``seconds``, what the step waited for its batch."""
    bad_steps: list[int] = field(default_factory=list)
    """Steps, counted from 1, that were skipped because their loss or gradient was not finite."""
    workers_died: int = 0
    """Loader workers that died and were replaced; nothing was lost."""
    captions_truncated: int = 0
    """Captions longer than the text tower's context, each time one was read; of this process, since
    training began.
    """


def finished_tokenizer(run: StageRun, stage_name: str) -> MuseTokenizer:
    """The tokenizer an earlier stage of the same run left. Raises MuseError that names the notebook
    and its command.
    """
    earlier = replace(run, stage=stage_name)
    stage = earlier.load_preset().curriculum[stage_name]
    config = earlier.tokenizer_folder / "config.json"
    if not config.exists():
        raise MuseError(
            f"Run {run.run!r} has no finished {stage_name}: first execute notebook {stage.notebook} with "
            f"`muse run {stage.notebook[:2]} --run {run.run} -p preset {run.preset}"
            f"{run.foundations.as_arguments()}`."
        )
    tokenizer = MuseTokenizer.from_pretrained(earlier.tokenizer_folder)
    _check_same_model(tokenizer, run, stage_name)
    return tokenizer


def _check_same_model(tokenizer: MuseTokenizer, run: StageRun, stage_name: str) -> None:
    preset = run.load_preset()
    parts = ("width", "num_heads", "num_blocks", "unshuffle", "attention", "query_grid")
    expected = {part: getattr(preset.connector, part) for part in parts}
    expected |= {"image_size": preset.image_size, "routing": run.routing}
    for name, value in expected.items():
        if tokenizer.config[name] != value:
            raise MuseError(
                f"The tokenizer of {stage_name} in run {run.run!r} has {name}={tokenizer.config[name]!r}, but preset "
                f"{run.preset!r} with these parameters asks for {value!r}: use another run name, or the same parameters."
            )
