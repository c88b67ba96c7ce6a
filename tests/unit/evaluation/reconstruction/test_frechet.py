"""The Fréchet distance against its closed form, scipy's matrix root and torchmetrics."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from sklearn.datasets import load_digits
from torchmetrics.image.fid import _compute_fid

from muse_core.errors import MuseError
from muse_core.evaluation.reconstruction.frechet import (
    biased,
    frechet_distance,
    measured_frechet,
)


def by_matrix_root(real: torch.Tensor, other: torch.Tensor) -> float:
    """The textbook formula, in numpy."""
    (m1, s1), (m2, s2) = (
        (f.mean(0), np.cov(f, rowvar=False))
        for f in (real.double().numpy(), other.double().numpy())
    )
    return float(((m1 - m2) ** 2).sum() + np.trace(s1 + s2 - 2 * sqrtm(s1 @ s2).real))


def with_moments(mean: list[float], deviations: list[float], n: int = 500) -> torch.Tensor:
    """Features with exactly this mean and exactly this diagonal covariance."""
    draw = torch.randn(n, len(mean), dtype=torch.float64)
    draw = draw - draw.mean(0)
    white = draw @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(draw.T))).T
    return white * torch.tensor(deviations, dtype=torch.float64) + torch.tensor(
        mean, dtype=torch.float64
    )


def correlated(n: int = 300, width: int = 12) -> torch.Tensor:
    return torch.randn(n, width) @ torch.randn(width, width) + torch.randn(width)


def digits() -> torch.Tensor:
    """Real images as features; pixels that are always 0 left out, so that covariances have full
    rank.
    """
    features = torch.from_numpy(load_digits().data).float()
    return features[:, features.std(0) > 1]


def test_two_gaussians_of_known_distance() -> None:
    """Diagonal covariances: |mu_1 - mu_2|^2 + sum (sigma_1 - sigma_2)^2 = (9 + 16) + (1
    + 0 + 4).
    """
    real, other = with_moments([0, 0, 0], [1, 2, 3]), with_moments([3, 0, 4], [2, 2, 5])
    assert frechet_distance(real, other) == pytest.approx(30.0, rel=1e-9)


def test_it_is_the_matrix_roots_on_correlated_features() -> None:
    real, other = correlated(), correlated()
    assert frechet_distance(real, other) == pytest.approx(by_matrix_root(real, other), rel=1e-6)


def test_it_is_the_matrix_roots_on_real_digits() -> None:
    features = digits()
    real, other = features[:900], features[900:]
    assert frechet_distance(real, other) == pytest.approx(by_matrix_root(real, other), rel=1e-6)


def test_the_same_features_are_at_distance_zero_in_any_order() -> None:
    features = digits()
    distance = frechet_distance(features, features[torch.randperm(len(features))])
    assert 0 <= distance < 1e-5 * features.double().var(0).sum()


def test_fewer_images_than_features_give_a_finite_number() -> None:
    features = correlated(20, 40)
    assert 0 <= frechet_distance(features, features) < 1e-2 * features.var(0).sum()
    assert math.isfinite(frechet_distance(features, correlated(15, 40)))


def test_it_is_symmetric_and_grows_with_noise() -> None:
    features = digits()
    noisy = [features + strength * torch.randn_like(features) for strength in (1.0, 3.0, 9.0)]
    distances = [frechet_distance(features, each) for each in noisy]
    assert distances == sorted(distances)
    assert frechet_distance(noisy[1], features) == pytest.approx(distances[1], rel=1e-6)


def test_a_large_common_mean_costs_no_precision() -> None:
    real, other = with_moments([0, 0], [1, 2]), with_moments([1, 0], [2, 2])
    assert frechet_distance(real + 1000, other + 1000) == pytest.approx(2.0, rel=1e-5)


@pytest.mark.parametrize(
    ("real", "other", "words"), [(1, 5, "1 real"), (5, 1, "1 reconstructed"), (0, 5, "0 real")]
)
def test_fewer_than_two_images_are_refused(real, other, words) -> None:
    with pytest.raises(MuseError, match=f"two images or more, but there are {words}"):
        frechet_distance(torch.rand(real, 3), torch.rand(other, 3))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_features_that_are_not_finite_are_refused(value) -> None:
    bad = torch.rand(5, 3)
    bad[2, 1] = value
    with pytest.raises(MuseError, match="reconstructed images have features that are not finite"):
        frechet_distance(torch.rand(5, 3), bad)


def test_a_covariance_needs_more_images_than_its_width() -> None:
    assert biased(32, 32) and not biased(33, 32)


def test_it_is_torchmetrics() -> None:
    real, other = digits()[:900].double(), digits()[900:].double()
    moments = [(each.mean(0), torch.cov(each.T)) for each in (real, other)]
    expected = _compute_fid(*moments[0], *moments[1]).item()
    assert frechet_distance(real, other) == pytest.approx(expected, rel=1e-9)


def test_features_of_one_number_have_a_distance() -> None:
    assert frechet_distance(torch.zeros(4, 1), torch.ones(4, 1)) == pytest.approx(1.0)


def test_a_measurement_has_an_interval_about_its_value_and_says_where_images_are_few() -> None:
    real, other = correlated(), correlated()
    found = measured_frechet(real, other[:200], "features", seed=1)
    assert found.value == frechet_distance(real, other[:200]) and found.n == 200
    assert 0 <= found.low < found.value < found.high and found.protocol == "features"
    few = measured_frechet(real[:12], other[:12], "features")
    assert few.protocol == "features; biased upwards: 12 images for 12 features"
