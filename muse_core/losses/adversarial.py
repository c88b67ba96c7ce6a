"""Hinge losses of the critic and of the tokenizer, and LeCam regularisation (Tseng et al. 2021,
arXiv 2104.03310).
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from muse_core.shapes import Scalar


def generator_loss(fake_logits: Tensor) -> Scalar:
    """-mean D(reconstruction)."""
    return -fake_logits.mean()


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Scalar:
    """Hinge: real logits above 1, fake ones below -1."""
    return (F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean()) / 2


@dataclass
class LeCamAnchors:
    """Running means of the critic's logits, towards which LeCam pulls the opposite side."""

    real: float = 0.0
    fake: float = 0.0
    decay: float = 0.99

    def update(self, real_mean: float, fake_mean: float) -> None:
        """Move towards the mean logits of one step's images."""
        self.real += (1 - self.decay) * (real_mean - self.real)
        self.fake += (1 - self.decay) * (fake_mean - self.fake)


def lecam_penalty(real_logits: Tensor, fake_logits: Tensor, anchors: LeCamAnchors) -> Scalar:
    """Squared distance of real logits from the fake mean, where above it, and the reverse."""
    return (
        F.relu(real_logits - anchors.fake).square().mean()
        + F.relu(anchors.real - fake_logits).square().mean()
    )
