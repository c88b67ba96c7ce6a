"""The frozen networks that supervise a stage, kept outside the tokenizer: out of its checkpoints,
its EMA and its modes.
"""

import math
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from muse_core.config.preset import FoundationLocations, Preset
from muse_core.config.stage import Loss
from muse_core.data.batch import Batch
from muse_core.errors import MuseError
from muse_core.foundations.image_tower import ImageTower
from muse_core.foundations.parts import TEACHER, read_config
from muse_core.foundations.perceptual import PerceptualNetwork, perceptual_network
from muse_core.foundations.text_tower import TextTower, text_embeddings
from muse_core.foundations.topology_teacher import (
    DinoV3Teacher,
    TimmTeacher,
    TopologyTeacher,
    observe,
)
from muse_core.losses.topology import Grid
from muse_core.losses.topology_target import TopologyTarget, topology_targets
from muse_core.paths import user_path
from muse_core.shapes import Embeddings

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Teachers:
    """Topology teacher, text tower and perceptual network, on one device; the image tower only
    where a stage distils.
    """

    topology: TopologyTeacher
    text: TextTower
    perceptual: PerceptualNetwork
    image: ImageTower | None = None
    locations: FoundationLocations | None = None
    """Where they were loaded from."""

    def described(self) -> dict[str, Any]:
        """Where they come from, as a stage's record keeps it."""
        kept = ("teacher", "text_tower", "teacher_layers", "teacher_image_size")
        where = {name: getattr(self.locations, name, None) for name in kept}
        return where | {"perceptual": self.perceptual.name}


@dataclass(frozen=True)
class Targets:
    """What the teachers say about a batch: attention as the student should see it, caption
    embeddings, image features, and the frozen backbone's own image embedding where a stage
    distils."""

    attention: tuple[TopologyTarget, ...]
    text: Embeddings
    features: list[Tensor]
    image: Embeddings | None = None


def load_topology_teacher(preset: Preset) -> TopologyTeacher:
    """The teacher of a preset. Raises MuseError where its layers or heads do not fit
    the student's.
    """
    where = preset.foundations
    teacher = open_topology_teacher(
        where.teacher, preset.connector.num_blocks, where.teacher_layers, where.teacher_image_size
    )
    _check_counts(teacher, preset)
    return teacher


def open_topology_teacher(
    location: str, blocks: int, layers: tuple[int, ...] | None = None, image_size: int | None = None
) -> TopologyTeacher:
    """From a folder or hub id (transformers' DINOv3), ``timm:NAME`` or a folder that timm saved
    for any ViT of timm; ``layers`` None spreads one layer a block over the depth."""
    if location.startswith("timm:"):
        name = location.removeprefix("timm:")
        return TimmTeacher.from_name(name, layers, blocks, image_size)
    folder = user_path(location)
    if (folder / "config.json").is_file() and "architecture" in read_config(TEACHER, folder):
        return TimmTeacher.from_folder(folder, layers, blocks, image_size)
    return DinoV3Teacher.from_pretrained(location, layers, blocks, image_size)


def _check_counts(teacher: TopologyTeacher, preset: Preset) -> None:
    if len(teacher.layers) != preset.connector.num_blocks:
        raise MuseError(
            f"{len(teacher.layers)} teacher layers cannot teach {preset.connector.num_blocks} "
            "student blocks: give foundations.teacher_layers one layer per block."
        )
    if teacher.num_heads % preset.connector.num_heads:
        heads = math.gcd(teacher.num_heads, preset.connector.num_heads)
        width = -(-preset.connector.width // heads) * heads
        raise MuseError(
            f"The teacher's {teacher.num_heads} heads do not divide into the student's "
            f"{preset.connector.num_heads}: "
            "set connector.num_heads (and a width it divides), for example "
            f'`-p overrides "connector.num_heads={heads} connector.width={width}"`, in a new run.'
        )


def load_teachers(preset: Preset, device: torch.device | str) -> Teachers:
    """All frozen networks of a preset. Raises MuseError where one cannot be loaded."""
    where, image = preset.foundations, None
    topology = _frozen(load_topology_teacher(preset), device)
    text = _frozen(TextTower.from_pretrained(where.text_tower), device)
    if any(Loss.DISTILLATION in stage.weights for stage in preset.curriculum):
        image = _frozen(ImageTower.from_pretrained(where.backbone), device)
    return Teachers(topology, text, perceptual_network(topology).to(device), image, where)


def _frozen(network: Network, device: torch.device | str) -> Network:
    return network.eval().requires_grad_(False).to(device)


def targets_for(teachers: Teachers, batch: Batch, grid: Grid, heads: int) -> Targets:
    """Targets of a batch for a student with this token grid and number of heads; nothing here
    carries gradient.
    """
    view = observe(teachers.topology, batch.images)
    attention = topology_targets(view.query_keys, view.grid, grid, heads)
    features = teachers.perceptual.of_real(batch.images, view)
    image = teachers.image(batch.images) if teachers.image is not None else None
    return Targets(attention, text_embeddings(teachers.text, batch.captions), features, image)
