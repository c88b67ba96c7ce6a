"""Whose attention a run can show on the same images: its teacher, its tokenizer from before
training on, the baselines.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from muse_core.config.overrides import with_model
from muse_core.config.preset import Preset
from muse_core.errors import MuseError
from muse_core.evaluation.attention.student_teacher import student_attention, teacher_attention
from muse_core.evaluation.feature_extractors import eval_mode, frozen
from muse_core.evaluation.run_rows import (
    SHARED,
    Absent,
    embedding_width,
    frozen_backbone,
    trained_rows,
    without_tokenizer,
)
from muse_core.figures.explorer import AttentionView
from muse_core.foundations.backbone import Backbone
from muse_core.foundations.topology_teacher import TopologyTeacher, observe, spread_layers
from muse_core.losses.topology import Grid, group_heads, resize_attention
from muse_core.models.assembly import assemble_tokenizer
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.results.records import read_json
from muse_core.shapes import AttentionMaps, Images
from muse_core.training.teachers import open_topology_teacher
from muse_core.training.trainer import RunFiles

TEACHER_RESIZED, TEACHER_OWN = "teacher, resized (Ψ)", "teacher, own grid, mean head"
UNTRAINED, SHARED_ROUTING, BACKBONE_ALONE = "before training", "shared routing", "frozen backbone"
Looking = Callable[[Images], tuple[Sequence[AttentionMaps], Grid]]
"""Images -> attention probabilities, one map a layer, and their grid."""


@dataclass(frozen=True)
class AttentionNetwork:
    """A network whose attention can be shown, and how it looks at images."""

    name: str
    role: str
    network: nn.Module
    looks: Looking

    def view(self, images: Images) -> AttentionView:
        """Its attention on a batch (batch, 3, height, width) in [0, 1]."""
        with eval_mode(self.network):
            maps, grid = self.looks(images.to(next(self.network.parameters()).device))
        stacked = torch.stack([each.float() for each in maps], dim=1).cpu()
        return AttentionView(self.name, self.role, stacked, grid)


def student_network(name: str, tokenizer: MuseTokenizer, role: str = "student") -> AttentionNetwork:
    """A tokenizer's own attention."""
    looks = lambda images: (student_attention(tokenizer, images), tokenizer.token_grid(images))
    return AttentionNetwork(name, role, tokenizer, looks)


def teacher_networks(
    teacher: TopologyTeacher, student: MuseTokenizer, size: int
) -> list[AttentionNetwork]:
    """The teacher as the student gets it (heads grouped, resized by Psi), and where its own grid is
    another at ``size`` pixels, as it is, mean of its heads: a finer grid's maps are heavy.
    """
    heads = math.gcd(teacher.num_heads, student.config.num_heads)

    def resized(images: Images) -> tuple[Sequence[AttentionMaps], Grid]:
        grid = student.token_grid(images)
        return teacher_attention(teacher, images, grid, heads), grid

    def as_it_is(images: Images) -> tuple[Sequence[AttentionMaps], Grid]:
        view = observe(teacher, images)
        return [group_heads(each, 1) for each in view.attention], view.grid

    found = [AttentionNetwork(TEACHER_RESIZED, "teacher", teacher, resized)]
    side = teacher.image_size // teacher.patch_size
    if (side, side) != student.token_grid(torch.empty(1, 3, size, size)):
        found.append(AttentionNetwork(TEACHER_OWN, "teacher", teacher, as_it_is))
    return found


def backbone_network(backbone: Backbone, student: MuseTokenizer) -> AttentionNetwork:
    """What the frozen backbone's own layers look at, on the student's grid; as many layers as the
    student has blocks, spread over its depth.
    """

    def looks(images: Images) -> tuple[Sequence[AttentionMaps], Grid]:
        layers, grid = backbone.attention(images), student.token_grid(images)
        rows, columns = (side // backbone.patch_size for side in images.shape[-2:])
        chosen = spread_layers(len(layers), min(len(layers), student.config.num_blocks))
        heads = math.gcd(layers[0].shape[1], student.config.num_heads)
        grouped = [group_heads(layers[layer], heads) for layer in chosen]
        return [resize_attention(each, (rows, columns), grid) for each in grouped], grid

    return AttentionNetwork(BACKBONE_ALONE, "comparison", backbone, looks)


def run_attention(
    preset: Preset, run: str, baseline: str, device: torch.device | str, size: int
) -> tuple[list[AttentionNetwork], list[Absent]]:
    """The networks of a run in the order in which they are shown, and what is missing.

    Args:
        preset: what the run was trained with.
        run: the run's name.
        baseline: the name of the run with shared routing.
        device: where networks go.
        size: pixels a side of the images to come.

    Raises:
        MuseError: where no stage of the run is finished, and for a size that is not a whole number
            of tokens.
    """
    rows = list(trained_rows(preset, run, baseline, device))
    absent = [row for row in rows if isinstance(row, Absent)]
    trained = {row.name: row.network for row in rows if not isinstance(row, Absent)}
    shared = trained.pop(SHARED.format(len(preset.curriculum.stages)), None)
    if not trained:
        raise without_tokenizer(preset, run)
    final = list(trained.values())[-1]
    _check_size(size, final)
    students = {UNTRAINED: frozen(untrained_tokenizer(preset, run), device)} | {
        name.removeprefix("MUSE, "): tokenizer for name, tokenizer in trained.items()
    }
    networks = teacher_networks(frozen(own_teacher(preset), device), final, size)
    networks += [student_network(name, tokenizer) for name, tokenizer in students.items()]
    if shared is not None:
        networks.append(student_network(SHARED_ROUTING, shared, "comparison"))
    return [*networks, backbone_network(frozen_backbone(preset, device).network, final)], absent


def own_teacher(preset: Preset) -> TopologyTeacher:
    """A preset's, of any number of heads: unlike the loss, a picture can average them."""
    where, blocks = preset.foundations, preset.connector.num_blocks
    layers, size = where.teacher_layers, where.teacher_image_size
    return open_topology_teacher(where.teacher, blocks, layers, size)


def _check_size(size: int, tokenizer: MuseTokenizer) -> None:
    cell = tokenizer.cell
    if size % cell:
        below = max(cell, size // cell * cell)
        raise MuseError(
            f"resolution {size} does not divide into tokens of {cell} pixels: use {below} or "
            f"{below + cell}."
        )


def untrained_tokenizer(preset: Preset, run: str) -> MuseTokenizer:
    """The tokenizer a run began with, made again from the seed and routing in its first stage's
    record.

    Its attention is that of the first step; only the calibration of the latent is left out.
    """
    file = RunFiles(run, preset.curriculum.stages[0].name).record_file
    record = read_json(file) if file.exists() else {}
    preset = with_model(preset, record.get("model", {}))
    with torch.random.fork_rng():
        torch.manual_seed(record.get("seed", 0))
        return assemble_tokenizer(preset, embedding_width(preset))
