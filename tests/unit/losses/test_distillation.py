"""L_distil: 1 - cos, from planted vectors; targets get no gradient."""

import pytest
import torch

from muse_core.losses.distillation import distillation_loss


@pytest.mark.parametrize(
    ("other", "value"), [([3.0, 0.0], 0.0), ([0.0, 2.0], 1.0), ([-1.0, 0.0], 2.0)]
)
def test_it_is_one_minus_the_cosine_whatever_the_lengths(other: list[float], value: float) -> None:
    assert distillation_loss(
        torch.tensor([[5.0, 0.0]]), torch.tensor([other])
    ).item() == pytest.approx(value)


def test_the_mean_is_over_images_and_targets_get_no_gradient() -> None:
    images, targets = (
        torch.eye(2, requires_grad=True),
        torch.tensor([[1.0, 0.0], [1.0, 0.0]], requires_grad=True),
    )
    loss = distillation_loss(images, targets)
    loss.backward()
    assert loss.item() == pytest.approx(0.5) and images.grad.any() and targets.grad is None
