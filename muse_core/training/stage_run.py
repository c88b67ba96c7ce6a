"""From names to objects: a stage of a run as parameters describe it, opened.

This is the edge where words become objects, for the setup cell of a notebook, ``muse train``, the
processes of a launcher and studies. Everything behind it takes objects.
"""

import shlex
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import TypeAdapter

from muse_core.callback import Callback
from muse_core.config.overrides import (
    MODEL_FIELDS,
    PARTS,
    inherited,
    load_preset,
    model_of,
    parse,
)
from muse_core.config.preset import Preset
from muse_core.config.stage import Stage
from muse_core.data.batch import Source
from muse_core.data.sources import open_source
from muse_core.errors import MuseError
from muse_core.models.assembly import assemble_tokenizer
from muse_core.models.gradient_routes import routing_named
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.results.records import plain, read_json
from muse_core.training.distributed import device_for
from muse_core.training.launch import Launch
from muse_core.training.loss_terms import TERMS, LossTerm
from muse_core.training.saving import save_whole
from muse_core.training.teachers import Teachers, load_teachers
from muse_core.training.trainer import (
    RunFiles,
    RunOptions,
    StageResult,
    Trainer,
    imported,
    start_folder,
)

CALIBRATION_IMAGES = 128
SHARED = ("run", "seed", "device", "resume", "fresh")
"""What names and options have in common."""


@dataclass(frozen=True, kw_only=True)
class NamedRun:
    """What is trained, by names: parameters that all notebooks which train have."""

    run: str
    preset: str
    data: str = "scenes"
    overrides: str = ""
    seed: int = 0
    device: str = "auto"
    resume: bool = False
    fresh: bool = False
    processes: int = 1

    def options(self, preset: Preset, notes: Mapping[str, Any], **own: Any) -> RunOptions:
        """Where and how it is trained, as the opened preset says; ``notes`` are for the record."""
        return RunOptions(
            **{name: getattr(self, name) for name in SHARED},
            precision=preset.precision,
            launch=Launch(self.processes, preset.accelerate_config),
            recipe=self,
            record_every=preset.record_every,
            trackers=preset.trackers,
            notes={"preset": self.preset, "overrides": self.overrides, "data": self.data, **notes},
            **own,
        )

    def check_precision(self, trainer: Trainer, preset: Preset) -> None:
        """Raises MuseError for a precision that other processes would not hear of."""
        if (given := trainer.options.precision) != preset.precision:
            raise MuseError(
                f"{trainer.what} is given precision={given!r} in its options, which other "
                f'processes cannot see: say it of the preset, overrides="precision={given}".'
            )


@dataclass(frozen=True, kw_only=True)
class StageRun(NamedRun):
    """One stage of one run by names; the fields are the parameters of notebooks 01 to 03."""

    stage: str
    module: ClassVar[str] = "muse_core.training"
    """What each process of a launcher runs."""

    def load_preset(self) -> Preset:
        """The preset with this run's overrides, and the model that the run's first stage fixed.

        Raises:
            MuseError: An unknown name, or another model than the run has.
        """
        preset = load_preset(self.preset, self.overrides, self.stage)
        if self.stage == preset.curriculum.stages[0].name:
            routing_named(preset.routing)
            return preset
        return preset_of_run(self.run, self.preset, self.overrides, self.stage)

    @property
    def files(self) -> RunFiles:
        return RunFiles(self.run, self.stage)

    @property
    def tokenizer_folder(self) -> Path:
        """Where the finished stage's tokenizer lies; `MuseTokenizer.from_pretrained` reads it."""
        return self.files.folder / "tokenizer"

    def open(self) -> "OpenedStage":
        """Everything that training needs, loaded. Raises MuseError for what is not there."""
        return OpenedStage(self, self.load_preset())

    def order(self, trainer: Trainer, files: RunFiles) -> "StageOrder":
        """What another process needs to train the same stage.

        Raises:
            MuseError: The trainer holds a loss or data that cannot be named.
        """
        self.check_precision(trainer, self.load_preset())
        losses = dict(trainer.losses or TERMS)
        own = {
            name: [_reference(name, term), term.row]
            for name, term in losses.items()
            if TERMS.get(name) != term
        }
        data = getattr(trainer.data, "fingerprint", None)
        if data != self.open().train.fingerprint:
            raise MuseError(
                f"{trainer.what} is given other data than {self.data!r}, which other processes "
                "cannot see: leave processes at 1, or name them in the parameter data."
            )
        folder = start_folder(files.folder)
        save_whole(trainer.made_of[0], folder)
        named = replace(self, **{name: getattr(trainer.options, name) for name in SHARED})
        return StageOrder(named, plain(trainer.stage), own, str(folder))


@dataclass(frozen=True)
class OpenedStage:
    """The objects of a stage: preset, stage, data, teachers, and the tokenizer it begins with."""

    named: StageRun
    preset: Preset

    @property
    def stage(self) -> Stage:
        return self.preset.curriculum[self.named.stage]

    @cached_property
    def device(self) -> torch.device:
        return device_for(self.named.device)

    @cached_property
    def train(self) -> Source:
        return open_source(self.named.data, "train", self.preset.image_size)

    @cached_property
    def held_out(self) -> Source:
        return open_source(self.named.data, "val", self.preset.image_size)

    @cached_property
    def teachers(self) -> Teachers:
        return load_teachers(self.preset, self.device)

    @property
    def options(self) -> RunOptions:
        """Where and how the stage is trained."""
        base = model_of(load_preset(self.named.preset))
        notes = {"model": model_of(self.preset), "base": base, "other_data": self.other_data}
        return self.named.options(self.preset, notes, workers=self.preset.loader_workers)

    @cached_property
    def other_data(self) -> str:
        """ "trained on scenes, and 01_topology_warmup on folder:PATH" where that is so, else ""."""
        earlier = self.stage.starts_from
        file = RunFiles(self.named.run, earlier or "").record_file
        if earlier is None or not file.exists():
            return ""
        before = read_json(file)
        if before.get("data_fingerprint") == self.train.fingerprint:
            return ""
        return f"trained on {self.named.data}, and {earlier} on {before.get('data')}"

    def tokenizer(self) -> MuseTokenizer:
        """The tokenizer as this stage finds it, in eval mode: new, with its latent calibrated on
        training images, or as the stage before left it.

        Raises:
            MuseError: The stage before is not there, with the command that makes it.
        """
        if self.stage.starts_from is not None:
            return finished_tokenizer(self.named, self.stage.starts_from).to(self.device).eval()
        torch.manual_seed(self.named.seed)
        images = self.train.first(CALIBRATION_IMAGES).images.to(self.device)
        return assemble_tokenizer(self.preset, self.teachers.text.width, images=images).eval()

    def trainer(
        self,
        callbacks: Iterable[Callback] = (),
        losses: Mapping[str, LossTerm] | None = None,
    ) -> Trainer:
        """The trainer of this stage, ready to fit."""
        made = self.tokenizer(), self.stage, self.train, self.teachers
        return Trainer(*made, losses, callbacks, options=self.options)


@dataclass(frozen=True)
class StageOrder:
    """A stage for another process: ``losses``: name -> [module:function, row] of the user's own."""

    run: StageRun
    stage: dict[str, Any]
    losses: dict[str, list[str]] = field(default_factory=dict)
    start: str = ""


def train_ordered(order: StageOrder) -> StageResult:
    """What each process of a launcher does with its order."""
    opened = order.run.open()
    own = {name: LossTerm(imported(where), row) for name, (where, row) in order.losses.items()}
    stage = TypeAdapter(Stage).validate_python(order.stage)
    network = MuseTokenizer.from_pretrained(order.start)
    trainer = Trainer(
        network, stage, opened.train, opened.teachers, TERMS | own, options=opened.options
    )
    return trainer.fit()


def train_stage(
    named: StageRun,
    callbacks: Iterable[Callback] = (),
    losses: Mapping[str, LossTerm] | None = None,
) -> StageResult:
    """Train a stage by names, without a notebook: `StageRun.open`, then `Trainer.fit`."""
    return named.open().trainer(callbacks, losses).fit()


def preset_of_run(
    run: str, named: str, overrides: str, stage: str | None, changeable: Collection[str] = ()
) -> Preset:
    """The preset with overrides, and the model that the run's first stage fixed.

    Args:
        run: Whose model; a run that has trained nothing yet fixes nothing.
        named: The preset's name or file.
        overrides: As in the notebook's parameters.
        stage: What ``stage.`` means in them.
        changeable: Fields of the model that the overrides may change for a look at the run.

    Raises:
        MuseError: An unknown name, or another model than the run has.
    """
    preset = load_preset(named, overrides, stage)
    routing_named(preset.routing)
    file = RunFiles(run, preset.curriculum.stages[0].name).record_file
    if not file.exists():
        return preset
    given = {_model_path(path) for path in parse(overrides)}
    return inherited(preset, read_json(file), named, given, changeable)


def finished_tokenizer(named: StageRun, stage_name: str) -> MuseTokenizer:
    """The tokenizer an earlier stage of the same run left.

    Raises:
        MuseError: It is not there, with the notebook's command, or it is of another model.
    """
    earlier = replace(named, stage=stage_name)
    stage = load_preset(named.preset, named.overrides, named.stage).curriculum[stage_name]
    if not (earlier.tokenizer_folder / "config.json").exists():
        raise MuseError(
            f"Run {named.run!r} has no finished {stage_name}: first execute notebook "
            f"{stage.name} with `{command(stage, named)}`."
        )
    tokenizer = MuseTokenizer.from_pretrained(earlier.tokenizer_folder)
    _check_same_model(tokenizer, named, stage_name)
    return tokenizer


def command(stage: Stage, named: StageRun) -> str:
    """The command that trains a stage of this run."""
    words = f"muse run {stage.name[:2]} --run {named.run} -p preset {named.preset}"
    kept = [
        f"{path}={value}" for path, value in parse(named.overrides).items() if _model_path(path)
    ]
    return words + (f" -p overrides {shlex.quote(' '.join(kept))}" if kept else "")


def _model_path(path: str) -> str:
    """The field of the model that an override's path changes; "" for any other."""
    path = f"foundations.{path}" if path in PARTS else path
    return path if path.split(".")[0] in MODEL_FIELDS else ""


def _check_same_model(tokenizer: MuseTokenizer, named: StageRun, stage_name: str) -> None:
    preset = named.load_preset()
    own = {"image_size": preset.image_size, "routing": preset.routing}
    held = {**tokenizer.config, "routing": tokenizer.routing.name}
    for name, value in (vars(preset.connector) | own).items():
        if held[name] != value:
            raise MuseError(
                f"The tokenizer of {stage_name} in run {named.run!r} has "
                f"{name}={held[name]!r}, but preset {named.preset!r} with these "
                f"parameters asks for {value!r}: use another run name, or the same parameters."
            )


def _reference(name: str, term: LossTerm) -> str:
    """``module:function``. Raises MuseError for a function that only this process has."""
    function = term.compute
    module, called = getattr(function, "__module__", ""), getattr(function, "__qualname__", "")
    if not called or ("." in called and "<" not in called):
        raise MuseError(
            f"The loss {name!r} is a {type(function).__name__} without a name to import it by, and "
            "a launched training takes module:function: put a function that calls it into a file, "
            "or leave processes at 1."
        )
    if module in ("", "__main__") or "<" in called:
        raise MuseError(
            f"The loss {name!r} was made in a cell, which other processes cannot see: put the "
            "function into a file and import it from there, or leave processes at 1."
        )
    return f"{module}:{called}"
