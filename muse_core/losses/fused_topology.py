"""L_topo without its maps: the equation of `topology`, walked in blocks of images and queries.

For a block with logits s = scale q k^T, student P = softmax(s) and target T = Psi(A_T) the
divergence of a row is

    KL = sum T log T - sum T s + (sum T) logsumexp(s),     dKL/ds = (sum T) P - T,

so one visit gives its share of the loss and of the gradients of q and k, which are linear in
tokens. They wait for the backward pass; no map does. Peak memory: q, k and their gradients, plus a
few tensors of `BLOCK_ELEMENTS`."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from muse_core.attention import QueryKeys
from muse_core.errors import MuseError
from muse_core.losses.topology import check_layers
from muse_core.losses.topology_block import BlockTerms, block_terms
from muse_core.losses.topology_target import TopologyTarget
from muse_core.shapes import Float, Scalar

Function = TypeVar("Function", bound=Callable[..., Any])
BLOCK_ELEMENTS = {"cpu": 2**19, "cuda": 2**24}
"""Numbers in the largest tensor of a block: about what a core's cache holds, or what fills a GPU.
One row of the grid of one image is the least."""

TRITON_VARIABLE = "MUSE_TRITON"


def _uncompiled(function: Function) -> Function:
    """`torch.compiler.disable`, typed."""
    return cast(Function, torch.compiler.disable(function))


@_uncompiled
def fused_topology_loss(targets: Sequence[TopologyTarget], students: Sequence[QueryKeys]) -> Scalar:
    """L_topo in nats: the mean divergence over blocks, heads, queries and images, as
    `topology_loss` has it on the whole maps.

    In single precision at least, also under autocast. Differentiable once, in the student's queries
    and keys.

    Args:
        targets: What each block should see, a teacher layer a block.
        students: Queries and keys of each block, (batch, heads, tokens, head width).

    Raises:
        MuseError: Where the numbers of layers, or the tokens or heads of a layer, differ.
    """
    _check(targets, students)
    if not torch.is_grad_enabled():
        students = [student.detach() for student in students]
    tensors = [tensor for student in students for tensor in (student.queries, student.keys)]
    return _TopologyLoss.apply(targets, [student.scale for student in students], *tensors)


@torch.no_grad()
def topology_divergences(
    targets: Sequence[TopologyTarget], students: Sequence[QueryKeys]
) -> Float[Tensor, "layers heads"]:
    """KL(teacher || student) in nats, mean over images and queries: L_topo before it is averaged
    over blocks and heads.

    Raises MuseError as `fused_topology_loss`.
    """
    _check(targets, students)
    return torch.stack(
        [_walk(t, s.detach(), False)[0] for t, s in zip(targets, students, strict=True)]
    )


class _TopologyLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx, targets: Sequence[TopologyTarget], scales: Sequence[float], *tensors: Tensor
    ) -> Tensor:
        """``tensors``: q and k of each layer in turn."""
        wanted = ctx.needs_input_grad[2:]
        divergences, gradients = [], []
        for layer, (target, scale) in enumerate(zip(targets, scales, strict=True)):
            pair = slice(2 * layer, 2 * layer + 2)
            queries, keys = tensors[pair]
            student = QueryKeys(queries, keys, scale)
            divergence, *pair_gradients = _walk(target, student, any(wanted[pair]))
            divergences.append(divergence.mean())
            gradients += pair_gradients
        ctx.save_for_backward(*gradients)
        ctx.wanted, ctx.dtypes = wanted, [tensor.dtype for tensor in tensors]
        return torch.stack(divergences).mean()

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream: Tensor):
        share = 2 * upstream / len(ctx.wanted)
        given = zip(ctx.saved_tensors, ctx.wanted, ctx.dtypes, strict=True)
        found = [(each * share).to(dtype) if wanted else None for each, wanted, dtype in given]
        return None, None, *found


def _walk(
    target: TopologyTarget, student: QueryKeys, with_gradient: bool
) -> tuple[Float[Tensor, " heads"], Tensor | None, Tensor | None]:
    """One layer: its divergence by head, mean over images and queries, and the gradients of q and k
    of the mean over heads.
    """
    with torch.autocast(student.queries.device.type, enabled=False):
        student, target = student.at_least_single(), target.at_least_single()
        queries, keys = student.queries * student.scale, student.keys
        terms_of = block_terms_for(queries)
        batch, heads, tokens, _ = queries.shape
        total = queries.new_zeros(heads)
        into_queries, into_keys = (
            torch.zeros_like(part if with_gradient else part[:0]) for part in (queries, keys)
        )
        for images, rows in _blocks(batch, target):
            aims = target.of_images(images).grid_rows(rows).to(queries.dtype)
            at = slice(rows.start * target.grid[1], rows.stop * target.grid[1])
            terms = terms_of(aims, queries[images, :, at], keys[images], with_gradient)
            total += terms.divergence.sum(dim=(0, 2))
            if terms.into_queries is not None and terms.into_keys is not None:
                into_queries[images, :, at] = terms.into_queries
                into_keys[images] += terms.into_keys
        rows_in_mean = batch * tokens
    if not with_gradient:
        return total / rows_in_mean, None, None
    into_queries.mul_(student.scale / (rows_in_mean * heads))
    into_keys.div_(rows_in_mean * heads)
    return total / rows_in_mean, into_queries, into_keys


def block_terms_for(queries: Tensor) -> Callable[[Tensor, Tensor, Tensor, bool], BlockTerms]:
    """`block_terms`, or the Triton kernel where ``MUSE_TRITON=1`` asks for it: on CUDA, in single
    precision. It has run in Triton's interpreter alone, so it is nobody's default.
    """
    asked = os.environ.get(TRITON_VARIABLE) == "1"
    if asked and queries.is_cuda and queries.dtype == torch.float32:
        from muse_core.losses.topology_triton import triton_block_terms

        return triton_block_terms
    return block_terms


def _blocks(batch: int, target: TopologyTarget) -> Iterator[tuple[slice, slice]]:
    """(images, rows of the student's grid): whole images as many as fit the budget, or else rows of
    one image.
    """
    budget = BLOCK_ELEMENTS.get(target.teacher.queries.device.type, BLOCK_ELEMENTS["cpu"])
    fitting = max(1, budget // target.elements_per_grid_row)
    height = target.grid[0]
    images, rows = max(1, fitting // height), min(height, fitting)
    for image in range(0, batch, images):
        for row in range(0, height, rows):
            yield slice(image, min(batch, image + images)), slice(row, min(height, row + rows))


def _check(targets: Sequence[TopologyTarget], students: Sequence[QueryKeys]) -> None:
    check_layers(targets, students)
    for target, student in zip(targets, students, strict=True):
        expected = (target.heads, target.grid[0] * target.grid[1])
        if expected != (student.num_heads, student.num_tokens):
            raise MuseError(
                f"A target of {expected[0]} heads and {expected[1]} tokens cannot teach a student "
                f"of {student.num_heads} heads and {student.num_tokens} tokens: "
                "make the targets for the student's own grid and heads."
            )
