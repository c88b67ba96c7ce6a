"""L_rec on pixels, and the perceptual distance on features."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from muse_core.shapes import Images, Scalar

L2_WEIGHT = 5.0
"""At the errors a trained tokenizer makes (about 0.03 on [0, 1]) L1 and weighted L2 then pull with
similar strength.
"""


def reconstruction_loss(reconstruction: Images, images: Images) -> Scalar:
    """L1 + L2_WEIGHT * L2 on [0, 1]."""
    return F.l1_loss(reconstruction, images) + L2_WEIGHT * F.mse_loss(reconstruction, images)


def perceptual_loss(reconstructed: Sequence[Tensor], real: Sequence[Tensor]) -> Scalar:
    """Mean squared distance of features (..., channels last), each position scaled to unit length,
    over layers.
    """
    distances = [
        (F.normalize(fake, dim=-1) - F.normalize(true, dim=-1)).square().sum(-1).mean()
        for fake, true in zip(reconstructed, real, strict=True)
    ]
    return torch.stack(distances).mean()
