"""The one place where images in [0, 1] are shifted and scaled to what a network expects."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from muse_core.shapes import Images

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""(mean, std) of InternViT and DINOv3, as in their preprocessor configurations."""
COLOUR_KEYS = ("image_mean", "image_std")
"""What they are called there, and in the description of a backbone that has others."""


class Normalise(nn.Module):
    """(x - mean) / std for RGB images in [0, 1]."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    def forward(self, images: Images) -> Images:
        return (images - self.mean) / self.std
