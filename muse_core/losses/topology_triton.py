"""`block_terms` as two Triton kernels: logits, probabilities and their gradient live in registers
only.

Tiles of queries walk over the keys twice (first maximum, partition and divergence, as in online
softmax; then dq); tiles of keys walk over the queries once (dk), so that nothing is added
atomically and results repeat bit for bit.

Tested in Triton's interpreter on a CPU (``TRITON_INTERPRET=1``), values and gradients against
`block_terms`. Not tested, nor timed, on a GPU, where
``MUSE_TRITON=1`` asks for it: tile sizes are a guess."""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from muse_core.losses.topology_block import BlockTerms

TILE = 32
"""Queries, and keys, that one step looks at."""


@triton.jit
def _tile(base, first, count, left, width, TILE: tl.constexpr, WIDTH: tl.constexpr):
    """``TILE`` x ``WIDTH`` of a (count, width) matrix, from row ``first`` and column ``left`` on;
    zeros outside.
    """
    rows = first + tl.arange(0, TILE)
    columns = left + tl.arange(0, WIDTH)
    inside = (rows < count)[:, None] & (columns < width)[None, :]
    return tl.load(base + rows[:, None] * width + columns[None, :], mask=inside, other=0.0)


@triton.jit
def _query_kernel(
    target,
    queries,
    keys,
    divergence,
    normaliser,
    mass,
    into_queries,
    num_queries,
    num_keys,
    width,
    TILE: tl.constexpr,
    WIDTH: tl.constexpr,
    GRADIENT: tl.constexpr,
):
    first, head = tl.program_id(0) * TILE, tl.program_id(1).to(tl.int64)
    target, keys = target + head * num_queries * num_keys, keys + head * num_keys * width
    q = _tile(queries + head * num_queries * width, first, num_queries, 0, width, TILE, WIDTH)
    highest = tl.full((TILE,), float("-inf"), tl.float32)
    partition = tl.zeros((TILE,), tl.float32)
    gain = tl.zeros((TILE,), tl.float32)
    total = tl.zeros((TILE,), tl.float32)
    for at in range(0, num_keys, TILE):
        k = _tile(keys, at, num_keys, 0, width, TILE, WIDTH)
        t = _tile(target, first, num_queries, at, num_keys, TILE, TILE)
        s = tl.dot(q, tl.trans(k), input_precision="ieee")
        gain += tl.sum(t * (tl.log(tl.where(t > 0, t, 1.0)) - s), 1)
        total += tl.sum(t, 1)
        s = tl.where((at + tl.arange(0, TILE) < num_keys)[None, :], s, float("-inf"))
        higher = tl.maximum(highest, tl.max(s, 1))
        partition = partition * tl.exp(highest - higher) + tl.sum(tl.exp(s - higher[:, None]), 1)
        highest = higher
    log_partition = highest + tl.log(partition)
    rows = first + tl.arange(0, TILE)
    place, inside = head * num_queries + rows, rows < num_queries
    tl.store(divergence + place, gain + total * log_partition, mask=inside)
    if GRADIENT:
        tl.store(normaliser + place, log_partition, mask=inside)
        tl.store(mass + place, total, mask=inside)
        dq = tl.zeros((TILE, WIDTH), tl.float32)
        for at in range(0, num_keys, TILE):
            k = _tile(keys, at, num_keys, 0, width, TILE, WIDTH)
            t = _tile(target, first, num_queries, at, num_keys, TILE, TILE)
            s = tl.dot(q, tl.trans(k), input_precision="ieee")
            ds = total[:, None] * tl.exp(s - log_partition[:, None]) - t
            ds = tl.where((at + tl.arange(0, TILE) < num_keys)[None, :], ds, 0.0)
            dq += tl.dot(ds, k, input_precision="ieee")
        columns = tl.arange(0, WIDTH)
        tl.store(
            into_queries + place[:, None] * width + columns[None, :],
            dq,
            mask=inside[:, None] & (columns < width)[None, :],
        )


@triton.jit
def _key_kernel(
    target,
    queries,
    keys,
    normaliser,
    mass,
    into_keys,
    num_queries,
    num_keys,
    width,
    TILE: tl.constexpr,
    WIDTH: tl.constexpr,
):
    first, head = tl.program_id(0) * TILE, tl.program_id(1).to(tl.int64)
    target, queries = target + head * num_queries * num_keys, queries + head * num_queries * width
    k = _tile(keys + head * num_keys * width, first, num_keys, 0, width, TILE, WIDTH)
    dk = tl.zeros((TILE, WIDTH), tl.float32)
    for at in range(0, num_queries, TILE):
        rows = at + tl.arange(0, TILE)
        log_partition = tl.load(
            normaliser + head * num_queries + rows, mask=rows < num_queries, other=0.0
        )
        total = tl.load(mass + head * num_queries + rows, mask=rows < num_queries, other=0.0)
        q = _tile(queries, at, num_queries, 0, width, TILE, WIDTH)
        t = _tile(target, at, num_queries, first, num_keys, TILE, TILE)
        s = tl.dot(q, tl.trans(k), input_precision="ieee")
        ds = total[:, None] * tl.exp(s - log_partition[:, None]) - t
        dk += tl.dot(tl.trans(ds), q, input_precision="ieee")
    columns, places = tl.arange(0, WIDTH), first + tl.arange(0, TILE)
    inside = (places < num_keys)[:, None] & (columns < width)[None, :]
    tl.store(
        into_keys + (head * num_keys + places[:, None]) * width + columns[None, :], dk, mask=inside
    )


def triton_block_terms(
    target: Tensor, queries: Tensor, keys: Tensor, with_gradient: bool
) -> BlockTerms:
    """As `block_terms`, for float32 tensors."""
    target, queries, keys = target.contiguous(), queries.contiguous(), keys.contiguous()
    batch, heads, num_queries, width = queries.shape
    num_keys = keys.shape[2]
    divergence, normaliser, mass = queries.new_empty(3, batch, heads, num_queries)
    into_queries, into_keys = torch.empty_like(queries), torch.empty_like(keys)
    # triton makes constexpr of these itself
    gradient: Any = with_gradient
    padded: dict[str, Any] = dict(TILE=TILE, WIDTH=max(16, triton.next_power_of_2(width)))
    sizes = (num_queries, num_keys, width)
    made = divergence, normaliser, mass, into_queries
    _query_kernel[triton.cdiv(num_queries, TILE), batch * heads](
        target, queries, keys, *made, *sizes, **padded, GRADIENT=gradient
    )
    if not with_gradient:
        return BlockTerms(divergence)
    _key_kernel[triton.cdiv(num_keys, TILE), batch * heads](
        target, queries, keys, normaliser, mass, into_keys, *sizes, **padded
    )
    return BlockTerms(divergence, into_queries, into_keys)
