"""Psi by rows of the student's grid against Psi of the whole map."""

import pytest
import torch

from muse_core.losses.topology import Grid, group_heads, resize_attention
from muse_core.losses.topology_target import TopologyTarget

from .plain_topology import random_layer

GRIDS = [
    ((6, 6), (4, 4)),
    ((4, 4), (6, 6)),
    ((5, 3), (4, 7)),
    ((3, 8), (6, 2)),
    ((12, 12), (8, 8)),
    ((4, 3), (4, 3)),
]


@pytest.mark.parametrize(("source", "grid"), GRIDS)
def test_rows_are_rows_of_psi_of_the_whole_map(source: Grid, grid: Grid) -> None:
    teacher = random_layer(2, 6, source, 8, 4.0)
    expected = resize_attention(group_heads(teacher.probabilities(), 3), source, grid)
    target = TopologyTarget(teacher, source, grid, 3)
    torch.testing.assert_close(target.grid_rows(), expected, atol=1e-6, rtol=1e-5)
    for start in range(grid[0]):
        for stop in range(start + 1, grid[0] + 1):
            rows = expected[:, :, start * grid[1] : stop * grid[1]]
            torch.testing.assert_close(
                target.grid_rows(slice(start, stop)), rows, atol=1e-6, rtol=1e-5
            )


def test_only_the_overlapped_rows_of_the_teacher_are_formed(monkeypatch) -> None:
    asked, teacher = [], random_layer(1, 1, (12, 12), 8, 1.0)
    original = type(teacher).probabilities
    monkeypatch.setattr(
        type(teacher),
        "probabilities",
        lambda self, rows: asked.append(rows) or original(self, rows),
    )
    TopologyTarget(teacher, (12, 12), (6, 6), 1).grid_rows(slice(2, 3))
    assert asked == [slice(3 * 12, 7 * 12)], (
        "row 2 covers rows 4 and 5, and antialiasing one more on either side"
    )
    TopologyTarget(teacher, (12, 12), (12, 12), 1).grid_rows(slice(2, 3))
    assert asked[1] == slice(2 * 12, 3 * 12)


def test_images_are_a_part_of_the_batch() -> None:
    target = TopologyTarget(random_layer(3, 2, (5, 3), 8, 4.0), (5, 3), (4, 2), 2)
    torch.testing.assert_close(target.of_images(slice(1, 3)).grid_rows(), target.grid_rows()[1:])
