"""The frozen networks that supervise a stage, kept outside the tokenizer: out of its checkpoints,
its EMA and its modes.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from muse_core.config.preset import FoundationLocations, Preset
from muse_core.config.stage import Loss
from muse_core.data.batch import Batch
from muse_core.errors import MuseError
from muse_core.foundations.backbone import Backbone
from muse_core.foundations.image_tower import ImageTower
from muse_core.foundations.parts import TEACHER, read_config
from muse_core.foundations.perceptual import PerceptualNetwork, perceptual_network
from muse_core.foundations.text_tower import TextTower, text_embeddings
from muse_core.foundations.timm_networks import PREFIX
from muse_core.foundations.topology_teacher import (
    DinoV3Teacher,
    TeacherView,
    TimmTeacher,
    TopologyTeacher,
    observe,
)
from muse_core.losses.topology import Grid
from muse_core.losses.topology_target import TopologyTarget, topology_targets
from muse_core.paths import user_path
from muse_core.shapes import Embeddings, Images, Tokens
from muse_core.training.teacher_cache import TeacherCache, halved

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
    cache: TeacherCache | None = None
    """What the topology teacher said of images before."""
    backbone: Backbone | None = None
    """The backbone as it was, for systems whose losses look at its tokens."""

    def look(self, images: Images) -> TeacherView:
        """What the topology teacher sees, in half precision and without gradient."""
        if self.cache is None:
            return halved(observe(self.topology, images))
        return self.cache.look(images)

    def described(self) -> dict[str, Any]:
        """Where they come from, as a stage's record keeps it."""
        kept = ("teacher", "text_tower", "teacher_layers", "teacher_image_size")
        where = {name: getattr(self.locations, name, None) for name in kept}
        return where | {"perceptual": self.perceptual.name}


class Targets:
    """What the teachers say about a batch. Each is asked when a loss first looks, and once; nothing
    here carries gradient.
    """

    def __init__(
        self, teachers: Teachers, batch: Batch, grid: Grid = (1, 1), heads: int = 1
    ) -> None:
        """For a student with this grid of tokens and number of heads, where it attends."""
        self.teachers, self.batch, self.grid, self.heads = teachers, batch, grid, heads
        self._said: dict[str, tuple[int, Any]] = {}

    def first(self, count: int) -> "Targets":
        """About the first images: what was said of more of them is not asked again."""
        cut = copy.copy(self)
        cut.batch = self.batch.first(count)
        return cut

    @property
    def attention(self) -> tuple[TopologyTarget, ...]:
        """The teacher's attention as the student should see it, a layer a block."""
        view = self._view
        return topology_targets(view.query_keys, view.grid, self.grid, self.heads)

    @property
    def text(self) -> Embeddings:
        """Embeddings of the captions."""
        return self._once("text", lambda batch: text_embeddings(self.teachers.text, batch.captions))

    @property
    def features(self) -> list[Tensor]:
        """Of the images in the perceptual network, (batch, positions, channels) a depth."""
        look = lambda batch: self.teachers.perceptual.of_real(batch.images, lambda: self._view)
        return self._once("features", look)

    @property
    def image(self) -> Embeddings:
        """The frozen backbone's own embedding of the images. Raises MuseError where it was not
        loaded.
        """
        if (tower := self.teachers.image) is None:
            raise MuseError(
                "This loss compares with the backbone's own image embedding, which is loaded for "
                "presets with distillation: give a stage the weight distillation."
            )
        return self._once("image", lambda batch: tower(batch.images))

    @property
    def teacher_tokens(self) -> Tokens:
        """The topology teacher's last patch tokens."""
        return self._view.features

    @property
    def backbone_tokens(self) -> Tokens:
        """The frozen backbone's patch tokens. Raises MuseError where it was not loaded."""
        if (backbone := self.teachers.backbone) is None:
            raise MuseError(
                "This loss looks at the frozen backbone's tokens, and the teachers hold no "
                'backbone: say supervised_by = ("backbone",) in the system\'s class, or give them '
                "one, replace(teachers, backbone=Backbone.from_pretrained(...))."
            )
        return self._once("backbone", lambda batch: backbone(batch.images))

    @property
    def _view(self) -> TeacherView:
        return self._once("view", lambda batch: self.teachers.look(batch.images))

    def _once(self, name: str, look: Callable[[Batch], Any]) -> Any:
        wanted = len(self.batch)
        count, said = self._said.get(name, (0, None))
        if count < wanted:
            with torch.no_grad():
                said = look(self.batch)
            self._said[name] = wanted, said
        return first_of(said, wanted) if count > wanted else said


def first_of(said: Any, count: int) -> Any:
    """Of the first images: of a tensor, a list of tensors, or a view."""
    if isinstance(said, list):
        return [each[:count] for each in said]
    return said.first(count) if isinstance(said, TeacherView) else said[:count]


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
    """From a folder or hub id (transformers' DINOv3 or DINOv2), ``timm:NAME`` or a folder that timm
    saved for any ViT of timm; ``layers`` None spreads one layer a block over the depth."""
    if location.startswith(PREFIX):
        name = location.removeprefix(PREFIX)
        return TimmTeacher.from_name(name, layers, blocks, image_size)
    folder = user_path(location)
    if (folder / "config.json").is_file() and "architecture" in read_config(TEACHER, folder):
        return TimmTeacher.from_folder(folder, layers, blocks, image_size)
    return DinoV3Teacher.from_pretrained(location, layers, blocks, image_size)


def _check_counts(teacher: TopologyTeacher, preset: Preset) -> None:
    blocks = preset.connector.num_blocks
    if blocks and len(teacher.layers) != blocks:
        raise MuseError(
            f"{len(teacher.layers)} teacher layers cannot teach {blocks} "
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
    cache = TeacherCache(topology, preset.teacher_cache) if preset.teacher_cache else None
    return Teachers(topology, text, perceptual_network(topology).to(device), image, where, cache)


def _frozen(network: Network, device: torch.device | str) -> Network:
    return network.eval().requires_grad_(False).to(device)
