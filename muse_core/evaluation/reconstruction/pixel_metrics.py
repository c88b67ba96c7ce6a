"""How well images survive the latent, image by image. Real and reconstructed are rounded to 8 bits
alike.
"""

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from muse_core.shapes import Float, Images

IDENTICAL = 100.0
"""PSNR in dB that an identical image counts as, so that a mean over images stays finite."""


def eight_bits(images: Images) -> Images:
    """What a file would hold: clamped to [0, 1] and rounded to 256 levels."""
    return (images.clamp(0, 1) * 255).round() / 255


def psnr(reconstruction: Images, images: Images) -> Float[Tensor, " batch"]:
    """Peak signal-to-noise ratio of each image in dB, on [0, 1]; the reconstruction is clamped
    first.
    """
    # Here, as it takes a second that no other use of this package needs.
    from torchmetrics.functional.image import peak_signal_noise_ratio

    decibels = peak_signal_noise_ratio(
        reconstruction.clamp(0, 1), images, data_range=1.0, reduction="none", dim=(1, 2, 3)
    )
    return decibels.clamp(max=IDENTICAL)


def ssim(reconstruction: Images, images: Images) -> Float[Tensor, " batch"]:
    """Structural similarity of each image (Wang et al. 2004: Gaussian window, sigma 1.5),
    data_range 1 on [0, 1].

    torchmetrics reflects the image at its borders; single precision costs flat areas up to 3e-4.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    found: Any = structural_similarity_index_measure(
        reconstruction.clamp(0, 1), images, data_range=1.0, reduction="none"
    )
    return found


def feature_distance(
    reconstructed: Float[Tensor, "batch patches width"], real: Float[Tensor, "batch patches width"]
) -> Float[Tensor, " batch"]:
    """Mean over patches of the squared distance between unit features (0 .. 4): with the teacher's,
    a stand-in for LPIPS.
    """
    return (
        (F.normalize(reconstructed, dim=-1) - F.normalize(real, dim=-1)).square().sum(-1).mean(-1)
    )
