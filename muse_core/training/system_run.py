"""From names to objects: a system of Table 1 as parameters describe it, opened and trained."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from muse_core.baselines.systems import check_system, system_named
from muse_core.baselines.visual_tokenizer import Parts, VisualTokenizer
from muse_core.callback import Callback
from muse_core.config.overrides import load_preset
from muse_core.config.preset import Preset
from muse_core.config.stage import Curriculum, Stage
from muse_core.config.system_stages import system_curriculum
from muse_core.data.batch import Source
from muse_core.data.sources import open_source
from muse_core.errors import MuseError
from muse_core.foundations.backbone import Backbone
from muse_core.paths import TOKENIZER_FOLDER
from muse_core.training.distributed import device_for
from muse_core.training.stage_run import CALIBRATION_IMAGES, NamedRun
from muse_core.training.teachers import Teachers, load_teachers
from muse_core.training.trainer import RunFiles, StageResult, Trainer
from muse_core.training.visual_tokenizer_task import VisualTokenizerTask


@dataclass(frozen=True, kw_only=True)
class SystemRun(NamedRun):
    """One system by names.

    Args:
        system: A name of `muse_core.baselines.systems.SYSTEMS`, or ``module:Class``.
        learning_rate: Of every stage; 0 for the preset's.
    """

    system: str
    learning_rate: float = 0.0

    def load_preset(self) -> Preset:
        """The preset with this run's overrides. Raises MuseError for an unknown name."""
        return load_preset(self.preset, self.overrides)

    def open(self) -> "OpenedSystem":
        """Everything that training needs.

        Raises:
            MuseError: An unknown name, or several processes.
        """
        if self.processes > 1:
            raise MuseError("Systems of Table 1 train in one process: leave processes at 1.")
        return OpenedSystem(self, self.load_preset())


@dataclass(frozen=True)
class OpenedSystem:
    """The objects of a system's training: preset, stages, data, teachers, and the system itself."""

    named: SystemRun
    preset: Preset

    @cached_property
    def kind(self) -> type[VisualTokenizer]:
        """Its class. Raises MuseError where there is none."""
        return system_named(self.named.system)

    @cached_property
    def curriculum(self) -> Curriculum:
        """Its stages at the preset's size."""
        return system_curriculum(self.preset, self.kind.stages, self.named.learning_rate)

    @cached_property
    def device(self) -> torch.device:
        return device_for(self.named.device)

    @cached_property
    def train(self) -> Source:
        return open_source(self.named.data, "train", self.preset.image_size)

    @cached_property
    def teachers(self) -> Teachers:
        """Of the preset; with the frozen backbone where the system looks at it."""
        found = load_teachers(self.preset, self.device)
        if "backbone" not in self.kind.supervised_by:
            return found
        backbone = Backbone.from_pretrained(self.preset.foundations.backbone)
        return replace(found, backbone=backbone.eval().requires_grad_(False).to(self.device))

    @cached_property
    def parts(self) -> Parts:
        """What the system is built from."""
        images = self.train.first(CALIBRATION_IMAGES).images.to(self.device)
        with torch.no_grad():
            width = self.teachers.topology.features(images[:1]).shape[-1]
        return Parts(self.preset, self.teachers.text.width, width, images)

    def new(self) -> VisualTokenizer:
        """A new system on its pretrained parts, random by the run's seed."""
        parts = self.parts
        torch.manual_seed(self.named.seed)
        return self.kind.assembled(parts)

    def files(self, stage: Stage) -> RunFiles:
        """Where a stage keeps what it makes."""
        return RunFiles(self.named.run, stage.name)

    @property
    def folder(self) -> Path:
        """Where the trained system lies."""
        return self.files(self.curriculum.stages[-1]).folder / TOKENIZER_FOLDER

    def trainer(
        self,
        stage: Stage,
        callbacks: Iterable[Callback] = (),
        losses: Mapping[str, Any] | None = None,
    ) -> Trainer:
        """The trainer of a stage, ready to fit; the stage before has to be done.

        Raises:
            MuseError: It is not.
        """
        network = self.new() if stage.starts_from is None else self._left_by(stage.starts_from)
        check_system(network)
        options = self.named.options(self.preset, {}, workers=self.preset.loader_workers)
        made = network, stage, self.train, self.teachers
        return Trainer(*made, losses, callbacks, options=options, task=VisualTokenizerTask)

    def _left_by(self, stage: str) -> VisualTokenizer:
        return self.kind.from_pretrained(RunFiles(self.named.run, stage).folder / TOKENIZER_FOLDER)


def train_system(named: SystemRun, callbacks: Iterable[Callback] = ()) -> list[StageResult]:
    """Train all stages of a system by names, without a notebook."""
    opened = named.open()
    return [opened.trainer(stage, callbacks).fit() for stage in opened.curriculum]
