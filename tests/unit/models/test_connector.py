"""Unshuffling against a loop, queries on other grids, and the streams' start."""

import pytest
import torch
import torch.nn.functional as F

from muse_core.config.stage import TRUNK_OPEN
from muse_core.errors import MuseError
from muse_core.models.connector import Connector
from muse_core.models.gradient_routes import NAIVE, ORTHOGONAL


def connector(unshuffle: int = 2, query_grid: int = 4, blocks: int = 2) -> Connector:
    return Connector(
        backbone_width=6,
        unshuffle=unshuffle,
        width=16,
        num_heads=2,
        num_blocks=blocks,
        feedforward_ratio=2.0,
        query_grid=query_grid,
        routing=ORTHOGONAL,
    )


def test_two_by_two_patches_become_one_token_in_raster_order() -> None:
    built, rows, columns = connector(), 4, 6
    built.adapter = torch.nn.Identity()
    built.queries = torch.nn.Parameter(torch.zeros(1, 16, 24))
    tokens = torch.randn(3, rows * columns, 6)
    joined = built.trunk(tokens, (rows, columns))
    for row in range(rows // 2):
        for column in range(columns // 2):
            patches = [
                tokens[:, (2 * row + p) * columns + 2 * column + q]
                for p in range(2)
                for q in range(2)
            ]
            expected = torch.cat(patches, dim=-1)
            torch.testing.assert_close(joined[:, row * (columns // 2) + column], expected)


def test_queries_on_their_own_grid_are_used_as_they_are() -> None:
    built = connector()
    assert built.queries_for((4, 4)) is built.queries


def test_queries_on_another_grid_are_resized_rows_first() -> None:
    """A table that grows downwards only: each row of the resized grid is constant, and rows
    increase.
    """
    built = connector()
    built.queries.data = (
        torch.arange(4.0).repeat_interleave(4)[None, :, None].expand(1, 16, 16).clone()
    )
    resized = built.queries_for((6, 3)).view(6, 3, 16)
    torch.testing.assert_close(resized, resized[:, :1].expand(6, 3, 16))
    assert (resized[1:] > resized[:-1]).all()
    picture = built.queries.view(1, 4, 4, 16).permute(0, 3, 1, 2)
    expected = F.interpolate(picture, (6, 3), mode="bicubic", antialias=True, align_corners=False)
    torch.testing.assert_close(resized, expected[0].permute(1, 2, 0))


def test_streams_start_at_the_trunk_and_at_zero() -> None:
    built = connector(unshuffle=1, blocks=1)
    built.blocks = torch.nn.ModuleList()
    tokens = torch.randn(2, 15, 6)
    out = built(tokens, (3, 5), TRUNK_OPEN, True)
    assert (
        torch.equal(out.hidden, built.trunk(tokens, (3, 5)))
        and not out.semantic.any()
        and out.attention == ()
    )


def test_a_grid_that_is_not_square_gives_a_map_per_block() -> None:
    out = connector()(torch.randn(2, 24, 6), (4, 6), TRUNK_OPEN, True)
    assert out.hidden.shape == out.semantic.shape == (2, 6, 16)
    assert [tuple(layer.logits().shape) for layer in out.attention] == [(2, 2, 6, 6)] * 2
    assert connector()(torch.randn(2, 24, 6), (4, 6), TRUNK_OPEN, False).attention == ()


def test_turning_the_grid_is_not_a_no_op() -> None:
    """The rotary grid is (rows, columns): 4 x 6 and 6 x 4 are different pictures."""
    built, tokens = connector(unshuffle=1), torch.randn(1, 24, 6)
    built.queries.data.zero_()
    upright, lying = (
        built(tokens, (6, 4), TRUNK_OPEN, False),
        built(tokens, (4, 6), TRUNK_OPEN, False),
    )
    assert not torch.allclose(upright.hidden, lying.hidden, atol=1e-4)


def test_without_blocks_semantics_are_the_trunk_itself() -> None:
    shape = dict(width=16, num_heads=2, feedforward_ratio=2.0, query_grid=4)
    built = Connector(6, 2, num_blocks=0, routing=NAIVE, **shape)
    tokens = torch.randn(3, 64, 6, requires_grad=True)
    found = built(tokens, (8, 8), TRUNK_OPEN, with_attention=False)
    assert torch.equal(found.semantic, built.trunk(tokens, (8, 8)))
    found.semantic.sum().backward()
    assert tokens.grad.abs().sum() > 0
    with pytest.raises(MuseError, match="has no semantic stream: use routing=naive"):
        Connector(6, 2, num_blocks=0, routing=ORTHOGONAL, **shape)
