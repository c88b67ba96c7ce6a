"""How attention is laid out over the image: how far it reaches, how spread it is, and what it adds
up to.

Every map is probabilities: a row (the query, "who looks") sums to 1 over the keys ("at what").
"""

from collections.abc import Sequence
from functools import reduce as fold

import torch
from einops import einsum, rearrange
from torch import Tensor

from muse_core.losses.topology import Grid
from muse_core.shapes import AttentionMaps, Float


def attention_distance(
    maps: Sequence[AttentionMaps], grid: Grid
) -> Float[Tensor, "layers heads batch"]:
    """Mean attention distance: E_{k ~ A(q, .)} |place(k) - place(q)|, mean over queries q, as a
    share of the diagonal.

    A place is the middle of its patch. Patches are square: patch k of a grid (h, w) lies at (k //
    w, k % w) + 1/2, in patches, and the image's diagonal is sqrt(h^2 + w^2) of them. So grids of
    different sizes compare, and the largest possible value, from corner to corner, is below 1.
    (Dosovitskiy et al. 2021, arXiv 2010.11929, fig. 7, there in pixels.)"""
    away = patch_distances(grid)
    expected = "batch heads queries keys, queries keys -> batch heads queries"
    return _by_layer([einsum(each.float(), away.to(each.device), expected) for each in maps])


def attention_entropy(maps: Sequence[AttentionMaps]) -> Float[Tensor, "layers heads batch"]:
    """-sum_k A(q, k) log A(q, k) in nats, mean over queries q; 0 log 0 = 0. From 0 (one key) to log
    N (all alike).
    """
    return _by_layer([torch.special.entr(each.float()).sum(-1) for each in maps])


def rollout(maps: Sequence[AttentionMaps]) -> Float[Tensor, "batch tokens tokens"]:
    """Attention of the last layer's tokens (rows) to the first layer's (columns) through all layers
    between.

    R = Â_L ... Â_1 with Â_l the row-normalised 1/2 mean_h A_l + 1/2 I; the identity stands for the
    residual path. (Abnar & Zuidema 2020, arXiv 2005.00928, "attention rollout".) Rows sum to 1."""
    return fold(lambda below, layer: layer @ below, [_with_residual(each) for each in maps])


def patch_distances(grid: Grid) -> Float[Tensor, "patches patches"]:
    """Distance between the middles of two patches, as a share of the image's diagonal; patches are
    square.
    """
    rows, columns = (torch.arange(side).float() for side in grid)
    places = torch.cartesian_prod(rows, columns)
    away = torch.cdist(places, places, compute_mode="donot_use_mm_for_euclid_dist")
    return away / torch.tensor(grid).float().norm()


def _with_residual(attention: AttentionMaps) -> Float[Tensor, "batch tokens tokens"]:
    """Row-normalised 1/2 mean over heads + 1/2 identity."""
    mean = attention.float().mean(1)
    half = 0.5 * mean + 0.5 * torch.eye(mean.shape[-1], device=mean.device)
    return half / half.sum(-1, keepdim=True)


def _by_layer(
    of_queries: Sequence[Float[Tensor, "batch heads queries"]],
) -> Float[Tensor, "layers heads batch"]:
    """Mean over queries, the layers stacked."""
    return rearrange(
        [each.mean(-1) for each in of_queries], "layers batch heads -> layers heads batch"
    )
