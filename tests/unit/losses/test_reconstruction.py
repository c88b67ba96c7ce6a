import pytest
import torch

from muse_core.losses.reconstruction import perceptual_loss, reconstruction_loss


def test_a_constant_error_costs_its_size_and_five_times_its_square() -> None:
    images = torch.rand(2, 3, 8, 8)
    assert reconstruction_loss(images, images).item() == 0
    assert reconstruction_loss(images + 0.1, images).item() == pytest.approx(
        0.1 + 5 * 0.01, rel=1e-4
    )
    assert reconstruction_loss(images - 0.2, images).item() == pytest.approx(
        0.2 + 5 * 0.04, rel=1e-4
    )


def test_the_perceptual_distance_looks_at_directions_only() -> None:
    features = torch.randn(2, 7, 5)
    assert perceptual_loss([3 * features], [features]).item() < 1e-10
    assert perceptual_loss([-features], [features]).item() == pytest.approx(
        4.0, rel=1e-5
    )  # |u - (-u)|^2


def test_the_perceptual_distance_is_the_mean_over_layers_of_any_shape() -> None:
    right, up = torch.tensor([1.0, 0.0]).expand(1, 4, 2), torch.tensor([0.0, 1.0]).expand(1, 4, 2)
    wide = torch.randn(3, 9, 6)
    # (2 + 0) / 2
    assert perceptual_loss([right, wide], [up, wide]).item() == pytest.approx(1.0)


def test_another_number_of_layers_is_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        perceptual_loss([torch.randn(1, 4, 2)], [])
