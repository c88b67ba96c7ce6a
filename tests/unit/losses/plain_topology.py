"""The oracle for `fused_topology`: the plain equation on whole maps, and random layers to hold both
against.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from muse_core.attention import QueryKeys
from muse_core.losses.topology import Grid, teacher_targets, topology_loss
from muse_core.losses.topology_target import TopologyTarget, topology_targets


@dataclass(frozen=True)
class Case:
    """Sizes of a comparison; ``group`` teacher heads a student head."""

    source: Grid
    grid: Grid
    layers: int = 2
    batch: int = 2
    heads: int = 2
    group: int = 1
    width: int = 8
    sharpness: float = 2.0


def random_layer(
    batch: int,
    heads: int,
    grid: Grid,
    width: int,
    sharpness: float,
    requires_grad: bool = False,
    **options,
) -> QueryKeys:
    """Leaves of a graph, where they require gradients."""

    def draw() -> Tensor:
        drawn = torch.randn(batch, heads, grid[0] * grid[1], width, **options) * sharpness**0.5
        return drawn.requires_grad_(requires_grad)

    return QueryKeys(draw(), draw(), width**-0.5)


def teachers_of(case: Case, **options) -> tuple[QueryKeys, ...]:
    size = (case.batch, case.heads * case.group, case.source, case.width, case.sharpness)
    return tuple(random_layer(*size, **options) for _ in range(case.layers))


def students_of(case: Case, **options) -> tuple[QueryKeys, ...]:
    size = (case.batch, case.heads, case.grid, case.width, case.sharpness)
    return tuple(random_layer(*size, requires_grad=True, **options) for _ in range(case.layers))


def targets_of(case: Case, teachers: tuple[QueryKeys, ...]) -> tuple[TopologyTarget, ...]:
    return topology_targets(teachers, case.source, case.grid, case.heads)


def plain_loss(
    case: Case, teachers: tuple[QueryKeys, ...], students: tuple[QueryKeys, ...]
) -> Tensor:
    """L_topo from whole maps."""
    maps = teacher_targets(
        [teacher.probabilities() for teacher in teachers], case.source, case.grid, case.heads
    )
    return topology_loss(maps, [student.logits() for student in students])


def tensors_of(layers: tuple[QueryKeys, ...]) -> list[Tensor]:
    return [tensor for layer in layers for tensor in (layer.queries, layer.keys)]
