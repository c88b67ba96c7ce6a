"""How well images survive the latent."""

from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio

from muse_core.shapes import Float, Images


def psnr(reconstruction: Images, images: Images) -> Float[Tensor, " batch"]:
    """Peak signal-to-noise ratio of each image in dB, on [0, 1]; the reconstruction is clamped first."""
    return peak_signal_noise_ratio(
        reconstruction.clamp(0, 1), images, data_range=1.0, reduction="none", dim=(1, 2, 3)
    )  # fmt: skip
