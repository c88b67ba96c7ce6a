"""L_anchor: symmetric InfoNCE between projected images and frozen text embeddings.

arXiv 2605.05646, "Active Semantic Anchoring"; negatives come from every process (the authors'
release uses the local batch)."""

import torch
import torch.distributed as dist
import torch.distributed.nn.functional as dist_functional
import torch.nn.functional as F
from torch import Tensor

from muse_core.errors import MuseError
from muse_core.shapes import Embeddings, Scalar


def gather(embeddings: Embeddings) -> Embeddings:
    """Embeddings of all processes, in rank order, differentiable; the same tensor for a single
    process.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return embeddings
    return torch.cat(dist_functional.all_gather(embeddings))


def anchor_loss(images: Embeddings, texts: Embeddings, scale: Tensor) -> Scalar:
    """Mean of both directions' cross-entropies, in nats.

    Args:
        images: Projected images (batch, width); row i belongs to row i of ``texts``.
        texts: Frozen text embeddings (batch, width).
        scale: 1 / temperature.

    Raises:
        MuseError: For a single pair: a contrast needs a negative.
    """
    images = gather(F.normalize(images.float(), dim=-1))
    texts = gather(F.normalize(texts.float(), dim=-1))
    if len(images) < 2:
        raise MuseError(
            "The semantic contrast needs negatives: use a batch_size of at least 2, and a share "
            "that leaves as many."
        )
    logits = scale * images @ texts.T
    pairs = torch.arange(len(images), device=images.device)
    return (F.cross_entropy(logits, pairs) + F.cross_entropy(logits.T, pairs)) / 2
