"""One block of L_topo: its divergence and, where asked for, what it adds to the gradients of
queries and keys.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from muse_core.shapes import AttentionMaps, Float


class BlockTerms(NamedTuple):
    """``divergence``: KL of every row in nats. ``into_queries``, ``into_keys``: gradients of the
    sum of all rows, or None.
    """

    divergence: Float[Tensor, "batch heads queries"]
    into_queries: Float[Tensor, "batch heads queries head_width"] | None = None
    into_keys: Float[Tensor, "batch heads keys head_width"] | None = None


def block_terms(
    target: AttentionMaps,
    queries: Float[Tensor, "batch heads queries head_width"],
    keys: Float[Tensor, "batch heads keys head_width"],
    with_gradient: bool,
) -> BlockTerms:
    """In torch, on any device: ``target`` holds probabilities, logits are queries @ keys^T (so
    queries come scaled).
    """
    shifted = queries @ keys.transpose(-1, -2).contiguous()
    shifted -= shifted.amax(-1, keepdim=True)
    mass = target.sum(-1, keepdim=True)
    # 0 log 0 = 0, at a third of xlogy's time on a CPU.
    smallest = torch.finfo(target.dtype).tiny
    gain = target.clamp_min(smallest).log_().sub_(shifted).mul_(target).sum(-1)
    exponentials = shifted.exp_()
    partition = exponentials.sum(-1, keepdim=True)
    divergence = gain + (mass * partition.log()).squeeze(-1)
    if not with_gradient:
        return BlockTerms(divergence)
    into_logits = exponentials.mul_(mass / partition).sub_(target)
    return BlockTerms(divergence, into_logits @ keys, into_logits.transpose(-1, -2) @ queries)
