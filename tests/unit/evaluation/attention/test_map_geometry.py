"""Maps whose reach, spread and gathering are known in advance, and sums written out in numpy."""

import math

import numpy as np
import pytest
import torch

from muse_core.errors import MuseError
from muse_core.evaluation.attention.map_geometry import (
    attention_distance,
    attention_entropy,
    patch_distances,
    rollout,
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


@pytest.mark.parametrize(
    "measure", [lambda maps: attention_distance(maps, GRID), attention_entropy]
)
def test_heads_layers_and_images_keep_their_place(measure) -> None:
    maps = random_maps()
    heads, images = torch.tensor([2, 0, 3, 1]), torch.tensor([1, 2, 0])
    shuffled = [each[images][:, heads] for each in reversed(maps)]
    assert torch.allclose(measure(shuffled), measure(maps).flip(0)[:, heads][..., images])


def test_half_precision_maps_are_measured_in_single() -> None:
    maps = [each.to(torch.bfloat16) for each in random_maps()]
    for found in (
        attention_distance(maps, GRID),
        attention_entropy(maps),
        rollout(maps),
    ):
        assert found.dtype == torch.float32


def test_rolled_out_rows_sum_to_1_and_are_a_product_written_in_numpy() -> None:
    maps = random_maps(layers=3)
    found = rollout(maps)
    assert torch.allclose(found.sum(-1), torch.ones(3, PATCHES))
    expected = np.eye(PATCHES)
    for each in maps:
        expected = (each[1].numpy().mean(0) + np.eye(PATCHES)) / 2 @ expected
    assert np.allclose(found[1].numpy(), expected, atol=1e-6)


def test_identity_rolls_out_to_identity() -> None:
    assert torch.equal(rollout([identity()] * 4)[0], torch.eye(PATCHES))


def test_two_layers_that_look_one_patch_on_reach_two_patches_on() -> None:
    """Binomial: a quarter stays, a half goes one patch on, a quarter two."""
    one_on = torch.eye(PATCHES).roll(1, dims=1).expand(1, 1, -1, -1)
    first = rollout([one_on, one_on])[0, 0]
    assert first[:3].tolist() == [0.25, 0.5, 0.25] and first[3:].sum() == 0


def test_rollout_goes_from_the_last_layers_queries_to_the_first_layers_keys() -> None:
    """Layer 1 looks at patch 2, layer 2 at patch 9: the last tokens reach 2 by way of 9, and never
    the other way round.
    """
    found = rollout([looking_at(2), looking_at(9)])[0]
    assert found[5, [2, 5, 9]].tolist() == [0.5, 0.25, 0.25]


def test_rows_that_do_not_sum_to_1_are_normalised() -> None:
    assert torch.allclose(
        rollout([3 * each for each in random_maps()]).sum(-1), torch.ones(3, PATCHES)
    )


@pytest.mark.parametrize(
    "measure", [lambda maps: attention_distance(maps, GRID), attention_entropy, rollout]
)
def test_no_maps_are_refused(measure) -> None:
    with pytest.raises(MuseError, match="one a layer"):
        measure([])


def test_maps_that_do_not_fit_the_grid_are_refused() -> None:
    with pytest.raises(MuseError, match="15 queries × 15 keys does not fit 16"):
        attention_distance([uniform(15)], (4, 4))


def test_a_map_between_different_tokens_cannot_be_rolled_out() -> None:
    with pytest.raises(MuseError, match="4 queries × 6 keys"):
        rollout([torch.full((1, 1, 4, 6), 1 / 6)])
