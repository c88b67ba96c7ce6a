"""L_distil: regress the frozen backbone's own image embedding, the passive alternative to `anchor`
(as UniLIP aligns).
"""

import torch.nn.functional as F

from muse_core.shapes import Embeddings, Scalar


def distillation_loss(images: Embeddings, targets: Embeddings) -> Scalar:
    """Mean of 1 - cos over the images, from 0 to 2; ``targets`` carry no gradient."""
    return (1 - F.cosine_similarity(images.float(), targets.detach().float(), dim=-1)).mean()
