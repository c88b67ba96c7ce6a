"""Attention of student and teacher as probabilities on the student's grid, ready to compare or to
draw.
"""

import torch
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


def divergence_of_maps(
    teacher: AttentionMaps, student: AttentionMaps
) -> Float[Tensor, "batch heads queries"]:
    """KL(teacher || student) in nats of every query, from probabilities of both; those of the
    student at least 1e-12.
    """
    return attention_divergence(teacher, student.clamp(min=1e-12).log())


def divergence_by_head(
    tokenizer: MuseTokenizer, teacher: TopologyTeacher, images: Images
) -> Float[Tensor, "blocks heads"]:
    """KL(teacher || student) in nats, mean over images and queries: L_topo before it is averaged
    over blocks and heads.
    """
    view = observe(teacher, images)
    targets = topology_targets(
        view.query_keys, view.grid, tokenizer.token_grid(images), tokenizer.config.num_heads
    )
    return topology_divergences(targets, student_query_keys(tokenizer, images))
