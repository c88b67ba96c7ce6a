"""Maps whose reach, spread and gathering are known in advance, and sums written out in numpy."""

import math

import numpy as np
import pytest
import torch

from muse_core.evaluation.attention.map_geometry import (
    attention_distance,
    attention_entropy,
    patch_distances,
)

GRID, PATCHES = (3, 5), 15


def random_maps(
    layers: int = 2, batch: int = 3, heads: int = 4, tokens: int = PATCHES
) -> list[torch.Tensor]:
    return list(torch.softmax(2 * torch.randn(layers, batch, heads, tokens, tokens), dim=-1))


def identity(tokens: int = PATCHES) -> torch.Tensor:
    """Every query looks at itself alone."""
    return torch.eye(tokens).expand(1, 1, -1, -1)


def uniform(tokens: int = PATCHES) -> torch.Tensor:
    return torch.full((1, 1, tokens, tokens), 1 / tokens)


def looking_at(key: int, tokens: int = PATCHES) -> torch.Tensor:
    """Every query looks at ``key`` alone."""
    return torch.nn.functional.one_hot(torch.tensor(key), tokens).float().expand(1, 1, tokens, -1)


def test_looking_at_oneself_reaches_nowhere_and_is_not_spread() -> None:
    assert attention_distance([identity()], GRID).item() == 0
    assert attention_entropy([identity()]).item() == 0


@pytest.mark.parametrize("tokens", [1, 15, 64])
def test_uniform_attention_has_the_entropy_log_n(tokens) -> None:
    assert attention_entropy([uniform(tokens)]).item() == pytest.approx(math.log(tokens), abs=1e-5)


def test_entropy_of_a_coin_toss_is_log_2_whatever_the_zeros() -> None:
    half = (looking_at(0) + looking_at(7)) / 2
    assert attention_entropy([half]).item() == pytest.approx(math.log(2))


def test_entropy_is_bounded_and_agrees_with_scipy() -> None:
    from scipy.stats import entropy

    maps = random_maps()
    found = attention_entropy(maps)
    assert found.shape == (2, 4, 3) and (found > 0).all() and (found < math.log(PATCHES)).all()
    for layer, head, image in [(0, 0, 0), (1, 3, 2), (0, 2, 1)]:
        rows = entropy(maps[layer][image, head].numpy(), axis=-1)
        assert found[layer, head, image].item() == pytest.approx(rows.mean(), rel=1e-5)


def test_two_patches_side_by_side_that_look_at_each_other() -> None:
    """Their middles are 1 patch apart; the image of 1 × 2 patches has a diagonal of sqrt(5)."""
    assert attention_distance([1 - identity(2)], (1, 2)).item() == pytest.approx(1 / math.sqrt(5))
    assert attention_distance([1 - identity(2)], (2, 1)).item() == pytest.approx(1 / math.sqrt(5))


def test_distance_on_an_oblong_grid_is_down_by_rows_and_across_by_columns() -> None:
    """All look at the corner (0, 0) of 3 × 5 patches; the sum over queries, written out."""
    expected = np.mean(
        [math.hypot(row, column) for row in range(3) for column in range(5)]
    ) / math.hypot(3, 5)
    assert attention_distance([looking_at(0)], (3, 5)).item() == pytest.approx(expected)
    assert attention_distance([looking_at(0)], (5, 3)).item() == pytest.approx(expected)
    assert attention_distance([looking_at(4)], (3, 5)).item() == pytest.approx(expected), (
        "the other corner of the row"
    )
    assert attention_distance([looking_at(4)], (5, 3)).item() < 0.9 * expected, (
        "there, patch 4 is in the middle column"
    )


def test_distance_is_the_expectation_written_as_a_sum() -> None:
    maps, diagonal = random_maps(), math.hypot(*GRID)
    found = attention_distance(maps, GRID)
    assert found.shape == (2, 4, 3)
    for layer, head, image in [(0, 0, 0), (1, 3, 2), (0, 2, 1)]:
        total = sum(
            maps[layer][image, head, q, k].item() * math.dist(divmod(q, 5), divmod(k, 5))
            for q in range(PATCHES)
            for k in range(PATCHES)
        )
        assert found[layer, head, image].item() == pytest.approx(
            total / PATCHES / diagonal, rel=1e-5
        )


def test_even_attention_reaches_equally_far_on_fine_and_coarse_grids() -> None:
    """Two random points of a unit square are 0.5214 apart on average, and its diagonal
    is sqrt(2).
    """
    reach = [
        attention_distance([uniform(side * side)], (side, side)).item() for side in (8, 16, 32)
    ]
    assert reach == pytest.approx([0.5214 / math.sqrt(2)] * 3, rel=0.02)
    assert abs(reach[2] - 0.5214 / math.sqrt(2)) < abs(reach[0] - 0.5214 / math.sqrt(2))


@pytest.mark.parametrize("grid", [(1, 1), (4, 4), (2, 9)])
def test_no_two_patches_are_a_whole_diagonal_apart(grid) -> None:
    away = patch_distances(grid)
    assert torch.equal(away, away.T) and (away.diagonal() == 0).all() and away.max() < 1
    assert away[0, -1].item() == pytest.approx(
        math.hypot(grid[0] - 1, grid[1] - 1) / math.hypot(*grid)
    )
