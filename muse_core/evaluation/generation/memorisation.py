"""Does a generator copy? The nearest training latent of every sample, against that of images it
never saw.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from muse_core.shapes import Float, Int, Latents


@dataclass(frozen=True)
class Nearest:
    """``index`` of the nearest training latent of each sample and its ``distance`` (root mean
    square over the latent).
    """

    index: Int[Tensor, " samples"]
    distance: Float[Tensor, " samples"]


Stored = Float[Tensor, "training channels latent_height latent_width"]


def nearest_training(samples: Latents, training: Stored) -> Nearest:
    """Both normalised alike; distances in standard deviations of the latents."""
    distances = torch.cdist(samples.flatten(1).float(), training.flatten(1).float())
    found = distances.min(1)
    return Nearest(found.indices, found.values / samples[0].numel() ** 0.5)


def copies(samples: Nearest, unseen: Nearest) -> float:
    """Share of samples nearer to a training image than 99 % of unseen real images are; about 0.01
    without memorisation.
    """
    return (samples.distance < unseen.distance.quantile(0.01)).float().mean().item()
