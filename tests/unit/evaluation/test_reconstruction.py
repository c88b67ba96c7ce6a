"""PSNR against its definition."""

import math

import torch

from muse_core.evaluation.reconstruction import psnr


def test_psnr_of_a_constant_error() -> None:
    """An error of 0.1 everywhere is 20 dB: -10 log10(0.01)."""
    images = torch.full((3, 3, 8, 8), 0.5)
    assert torch.allclose(psnr(images + 0.1, images), torch.full((3,), 20.0), atol=1e-4)


def test_psnr_is_per_image_and_clamps_the_overshoot() -> None:
    images = torch.zeros(2, 3, 8, 8)
    reconstruction = images.clone()
    reconstruction[0] -= 5.0
    reconstruction[1] += 0.01
    measured = psnr(reconstruction, images)
    assert math.isinf(measured[0]) and math.isclose(measured[1].item(), 40.0, rel_tol=1e-4)
