"""All that a system of Table 1 is built from and taught by, at a size for unit tests."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from muse_core.baselines.systems import RECIPES, SYSTEMS
from muse_core.baselines.visual_tokenizer import Parts, VisualTokenizer
from muse_core.config.preset import Preset
from muse_core.config.stage import Stage
from muse_core.config.system_stages import system_curriculum
from muse_core.data.batch import Batch
from muse_core.data.scenes import Scenes
from muse_core.foundations.backbone import Backbone
from muse_core.foundations.perceptual import TeacherFeatures
from muse_core.foundations.text_tower import TextTower
from muse_core.training.teachers import Targets, Teachers, load_topology_teacher
from muse_core.training.visual_tokenizer_task import VisualTokenizerTask

from ...integration.micro import IMAGE_SIZE, micro_preset
from ...integration.systems import TEXT_WIDTH, furnish

GRID = (4, 4)
"""Of patches of an image here."""
STAGES = [(system, number) for system, stages in RECIPES.items() for number in range(len(stages))]


@dataclass(frozen=True)
class Said:
    """What the frozen networks are made to say; a `Supervision`."""

    text: Any = None
    teacher_tokens: Any = None
    backbone_tokens: Any = None


@dataclass(frozen=True)
class SmallWorld:
    """Preset, teachers, and the parts of systems; see `open_world`."""

    preset: Preset
    teachers: Teachers
    parts: Parts

    def new(self, system: str) -> VisualTokenizer:
        """Assembled, in eval mode; the same weights each time."""
        torch.manual_seed(1)
        return SYSTEMS[system].assembled(self.parts).eval()

    def stage(self, system: str, number: int = 0, **fields: Any) -> Stage:
        """Of the system's recipe, ten steps long."""
        stage = system_curriculum(self.preset, RECIPES[system]).stages[number]
        return replace(stage, **{"steps": 10, **fields})

    def task(
        self, system: str, number: int = 0, losses: Any = None, **fields: Any
    ) -> VisualTokenizerTask:
        """A new system in training; ``fields`` of its stage."""
        stage, device = self.stage(system, number, **fields), Accelerator(cpu=True)
        return VisualTokenizerTask(self.new(system), stage, self.teachers, losses, device)

    def targets(self, batch: Batch) -> Targets:
        return Targets(self.teachers, batch)


def scenes(count: int = 3) -> Batch:
    """The first images of the embedded data, with captions."""
    return Scenes("train", IMAGE_SIZE).first(count)


def open_world(folder: Path) -> SmallWorld:
    """Random foundations, written into a folder and opened."""
    preset = micro_preset(furnish(folder))
    where, topology = preset.foundations, load_topology_teacher(preset)
    backbone = Backbone.from_pretrained(where.backbone).eval()
    text = TextTower.from_pretrained(where.text_tower)
    teachers = Teachers(topology, text, TeacherFeatures(topology), backbone=backbone)
    for network in (topology, text, backbone):
        network.eval().requires_grad_(False)
    width = topology.features(scenes(1).images).shape[-1]
    return SmallWorld(preset, teachers, Parts(preset, TEXT_WIDTH, width, scenes(16).images))


def images(count: int = 3) -> Tensor:
    return scenes(count).images
