"""PSNR, SSIM and the teacher's distance against their definitions, on noise and on photographs."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d
from scipy.spatial import distance

from muse_core.evaluation.reconstruction.pixel_metrics import (
    IDENTICAL,
    eight_bits,
    feature_distance,
    psnr,
    ssim,
)

from ..small_evaluations import blurred, photographs, small_teacher


def pairs() -> list:
    """(reconstruction, images): random ones, and photographs blurred, noisy and darker."""
    real = photographs()
    return [
        pytest.param(torch.rand(5, 3, 40, 56), torch.rand(5, 3, 40, 56), id="random"),
        pytest.param(blurred(real), real, id="blurred"),
        pytest.param((real + 0.1 * torch.randn(real.shape)).clamp(0, 1), real, id="noisy"),
        pytest.param(real * 0.7, real, id="darker"),
    ]


def literal_psnr(reconstruction: np.ndarray, images: np.ndarray) -> list[float]:
    return [
        10 * math.log10(1 / np.mean((a - b) ** 2))
        for a, b in zip(reconstruction, images, strict=True)
    ]


def literal_ssim(reconstruction: np.ndarray, images: np.ndarray) -> list[float]:
    """Wang et al. 2004 for data of range 1: Gaussian window 11 x 11 of sigma 1.5, K1 = 0.01, K2 =
    0.03; borders reflected.
    """
    window = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window /= window.sum()
    local = lambda x: correlate1d(
        correlate1d(x, window, axis=-1, mode="mirror"), window, axis=-2, mode="mirror"
    )
    c1, c2 = 0.01**2, 0.03**2
    found = []
    for a, b in zip(reconstruction, images, strict=True):
        ma, mb = local(a), local(b)
        va, vb, cov = local(a * a) - ma**2, local(b * b) - mb**2, local(a * b) - ma * mb
        found.append(
            ((2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))).mean()
        )
    return found


@pytest.mark.parametrize(("reconstruction", "images"), pairs())
def test_psnr_is_the_definition(reconstruction, images) -> None:
    expected = literal_psnr(reconstruction.double().numpy(), images.double().numpy())
    assert psnr(reconstruction, images).tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("reconstruction", "images"), pairs())
def test_ssim_is_the_definition(reconstruction, images) -> None:
    """To the last digits in double precision; single precision loses some where an
    image is flat.
    """
    expected = literal_ssim(reconstruction.double().numpy(), images.double().numpy())
    assert ssim(reconstruction.double(), images.double()).tolist() == pytest.approx(
        expected, abs=1e-6
    )
    assert ssim(reconstruction, images).tolist() == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize(("reconstruction", "images"), pairs())
def test_psnr_and_ssim_are_scikit_images(reconstruction, images) -> None:
    """scikit-image leaves a border out of its mean, which moves SSIM a little."""
    metrics = pytest.importorskip("skimage.metrics")
    options = dict(
        channel_axis=0,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    each = list(zip(reconstruction.double().numpy(), images.double().numpy(), strict=True))
    decibels = [metrics.peak_signal_noise_ratio(b, a, data_range=1.0) for a, b in each]
    assert psnr(reconstruction, images).tolist() == pytest.approx(decibels, rel=1e-5)
    full = [metrics.structural_similarity(a, b, full=True, **options)[1].mean() for a, b in each]
    assert ssim(reconstruction, images).tolist() == pytest.approx(full, abs=0.02)


def test_psnr_of_a_constant_error() -> None:
    """An error of 0.1 everywhere is 20 dB: -10 log10(0.01)."""
    images = torch.full((3, 3, 8, 8), 0.5)
    assert torch.allclose(psnr(images + 0.1, images), torch.full((3,), 20.0), atol=1e-4)


def test_psnr_is_per_image_and_clamps_the_overshoot() -> None:
    images = torch.zeros(2, 3, 8, 8)
    reconstruction = images.clone()
    reconstruction[0] -= 5.0
    reconstruction[1] += 0.01
    assert psnr(reconstruction, images).tolist() == pytest.approx([IDENTICAL, 40.0], rel=1e-4)


def test_ssim_clamps_the_overshoot() -> None:
    images = torch.zeros(1, 3, 16, 16)
    assert ssim(images - 5, images).item() == pytest.approx(1)


def test_an_identical_image_is_100_decibels_and_ssim_1() -> None:
    images = photographs()
    assert psnr(images, images).tolist() == [100.0] * len(images)
    assert ssim(images, images).tolist() == pytest.approx([1.0] * len(images), abs=1e-4)
    features = small_teacher().features(images)
    assert feature_distance(features, features).tolist() == [0.0] * len(images)


def test_more_noise_is_worse_in_every_measure() -> None:
    images, teacher = photographs(32), small_teacher()
    noise = torch.randn_like(images)
    worse = [(images + strength * noise).clamp(0, 1) for strength in (0.02, 0.1, 0.4)]
    decibels = [psnr(each, images).mean().item() for each in worse]
    similarity = [ssim(each, images).mean().item() for each in worse]
    far = [
        feature_distance(teacher.features(each), teacher.features(images)).mean().item()
        for each in worse
    ]
    assert decibels == sorted(decibels, reverse=True) and similarity == sorted(
        similarity, reverse=True
    )
    assert far == sorted(far)


@pytest.mark.parametrize("real", [False, True], ids=["random", "teacher on photographs"])
def test_the_distance_of_features_is_twice_one_minus_their_cosine(real) -> None:
    given = torch.randn(2, 5, 36, 32)
    if real:
        teacher, images = small_teacher(), photographs(32)
        given = teacher.features(blurred(images)), teacher.features(images)
    cosine = [
        [1 - distance.cosine(a, b) for a, b in zip(*pair, strict=True)]
        for pair in zip(*given, strict=True)
    ]
    assert feature_distance(*given).tolist() == pytest.approx(
        (2 - 2 * np.array(cosine)).mean(-1), abs=1e-5
    )


def test_opposite_features_are_at_distance_4_whatever_their_lengths() -> None:
    features = torch.randn(3, 5, 8)
    assert feature_distance(-7 * features, features).tolist() == pytest.approx([4.0] * 3)


def test_eight_bits_are_what_a_file_holds() -> None:
    images = torch.rand(2, 3, 8, 8) * 1.6 - 0.3
    held = eight_bits(images)
    assert held.min() == 0 and held.max() == 1
    assert torch.equal(
        held, torch.from_numpy(np.rint(images.clamp(0, 1).numpy() * np.float32(255))) / 255
    )
    assert torch.equal(eight_bits(held), held)
