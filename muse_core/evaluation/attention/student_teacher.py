"""Attention of student and teacher as probabilities on the student's grid, ready to compare or to
draw.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from einops import rearrange
from scipy.stats import pearsonr, rankdata
from torch import Tensor

from muse_core.attention import QueryKeys
from muse_core.foundations.topology_teacher import TopologyTeacher, observe
from muse_core.losses.fused_topology import topology_divergences
from muse_core.losses.topology import Grid, attention_divergence, teacher_targets
from muse_core.losses.topology_target import topology_targets
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.shapes import AttentionMaps, Float, Images


@torch.no_grad()
def student_query_keys(tokenizer: MuseTokenizer, images: Images) -> tuple[QueryKeys, ...]:
    """Queries and keys of every block."""
    return tokenizer.connect(images, with_attention=True).attention


def student_attention(tokenizer: MuseTokenizer, images: Images) -> tuple[AttentionMaps, ...]:
    """Attention probabilities of every block."""
    return tuple(layer.probabilities() for layer in student_query_keys(tokenizer, images))


def teacher_attention(
    teacher: TopologyTeacher, images: Images, grid: Grid, heads: int
) -> tuple[AttentionMaps, ...]:
    """The teacher's maps of its chosen layers, grouped and resized by Psi for a student on ``grid``
    with ``heads``.
    """
    view = observe(teacher, images)
    return teacher_targets(view.attention, view.grid, grid, heads)


def teacher_scores(
    teacher: Sequence[AttentionMaps], student: Sequence[AttentionMaps]
) -> dict[str, np.ndarray]:
    """How near the student's rows are to the teacher's, mean over queries.

    Args:
        teacher: probabilities (batch, heads, queries, keys), one map a layer.
        student: the same of the student; values below 1e-12 count as that.

    Returns:
        ``kl``: KL(teacher || student) in nats; ``rank``: Spearman correlation, 0 for a constant
        row; each (layers, heads, batch).
    """
    pairs = list(zip(teacher, student, strict=True))
    kl = [attention_divergence(true, own.clamp(min=1e-12).log()).mean(-1).T for true, own in pairs]
    return {
        "kl": torch.stack(kl).numpy(),
        "rank": np.stack([_rank_correlation(true, own) for true, own in pairs]),
    }


def _rank_correlation(
    teacher: AttentionMaps, student: AttentionMaps
) -> Float[np.ndarray, "heads batch"]:
    ranks = [rankdata(each.float().numpy(), axis=-1) for each in (teacher, student)]
    found: Any = pearsonr(*ranks, axis=-1)
    return rearrange(np.nan_to_num(found.statistic).mean(-1), "batch heads -> heads batch")


def divergence_by_head(
    tokenizer: MuseTokenizer, teacher: TopologyTeacher, images: Images
) -> Float[Tensor, "blocks heads"]:
    """KL(teacher || student) in nats, mean over images and queries: L_topo before it is averaged
    over blocks and heads.
    """
    view = observe(teacher, images)
    grid, heads = tokenizer.token_grid(images), tokenizer.config.num_heads
    targets = topology_targets(view.query_keys, view.grid, grid, heads)
    return topology_divergences(targets, student_query_keys(tokenizer, images))
