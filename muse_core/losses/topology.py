"""L_topo: the student's attention learns the teacher's topology.

    L_topo = 1 / (L H) sum_l sum_h mean_rows KL( Psi(A_T^(l,h)) || A_S^(l,h) )

(arXiv 2605.05646, "Structural Topology Alignment"), in every block and head, from the student's
logits. The authors' release uses the last block's head mean only, and its Psi returns the
transpose. Here the equation stands plainly, on whole maps: for pictures, and to hold
`fused_topology` against, which trains."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from einops import einsum, rearrange, reduce
from torch import Tensor

from muse_core.errors import MuseError
from muse_core.shapes import AttentionMaps, Float, Scalar, TargetMaps

Grid = tuple[int, int]
"""(rows, columns) of tokens."""


@lru_cache(maxsize=64)
def resize_side(
    source: int, target: int, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> Float[Tensor, "target source"]:
    """Bilinear resizing along one side of a grid, antialiased, as a matrix.

    The side lies along columns: torch 2.15 resizes pictures one column wide wrongly on the CPU.
    """
    basis = torch.eye(source).view(source, 1, 1, source)
    resized = F.interpolate(
        basis, (1, target), mode="bilinear", align_corners=False, antialias=True
    )
    return rearrange(resized, "source 1 1 target -> target source").to(device=device, dtype=dtype)


def resize_matrix(source: Grid, target: Grid) -> Tensor:
    """M (target tokens, source tokens): bilinear resizing of a map on ``source`` to ``target``, as
    a matrix.
    """
    down, across = resize_side(source[0], target[0]), resize_side(source[1], target[1])
    return rearrange(einsum(down, across, "h sh, w sw -> h w sh sw"), "h w sh sw -> (h w) (sh sw)")


def resize_attention(attention: AttentionMaps, source: Grid, target: Grid) -> TargetMaps:
    """Psi: resize query rows and key columns from one token grid to another, A -> M A M^T, and
    renormalise rows.
    """
    if source == target:
        return attention
    matrix = resize_matrix(source, target).to(attention)
    resized = matrix @ attention @ matrix.T
    return resized / resized.sum(-1, keepdim=True)


def group_heads(attention: AttentionMaps, heads: int) -> TargetMaps:
    """Average teacher heads in consecutive groups. Raises MuseError when their number does not
    divide.
    """
    if attention.shape[1] % heads:
        raise MuseError(
            f"The teacher's {attention.shape[1]} heads do not divide into the student's {heads}: "
            "choose a connector whose head count divides the teacher's."
        )
    if attention.shape[1] == heads:
        return attention
    return reduce(attention, "b (heads group) q k -> b heads q k", "mean", heads=heads)


def teacher_targets(
    maps: Sequence[AttentionMaps], source: Grid, target: Grid, heads: int
) -> tuple[TargetMaps, ...]:
    """Teacher maps as the student should see them: heads grouped, then Psi.

    Args:
        maps: A_T of each layer, (batch, heads, queries, keys), probabilities.
        source: The teacher's grid of tokens (rows, columns).
        target: The student's.
        heads: The student's heads, which divide the teacher's.

    Raises:
        MuseError: Where they do not.
    """
    return tuple(
        resize_attention(group_heads(attention, heads), source, target) for attention in maps
    )


def attention_divergence(teacher: AttentionMaps, student_logits: AttentionMaps) -> Tensor:
    """KL(teacher || student) in nats for every query, (batch, heads, queries); ``teacher`` holds
    probabilities.
    """
    log_student = F.log_softmax(student_logits.float(), dim=-1)
    return (torch.xlogy(teacher, teacher) - teacher * log_student).sum(-1)


def check_layers(targets: Sequence[Any], students: Sequence[Any]) -> None:
    """Raises MuseError where there is not one teacher layer for each student block."""
    if len(targets) != len(students):
        raise MuseError(
            f"{len(targets)} teacher layers cannot teach {len(students)} student blocks: "
            "choose one teacher layer per block."
        )


def topology_loss(targets: Sequence[AttentionMaps], logits: Sequence[AttentionMaps]) -> Scalar:
    """L_topo in nats: the mean divergence over blocks, heads, queries and images.

    Args:
        targets: Psi(A_T) of each block, (batch, heads, queries, keys), probabilities.
        logits: The student's logits, alike.

    Raises:
        MuseError: Where the numbers of layers differ.
    """
    check_layers(targets, logits)
    return torch.stack(
        [attention_divergence(t, s).mean() for t, s in zip(targets, logits, strict=True)]
    ).mean()
