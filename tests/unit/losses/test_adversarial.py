import pytest
import torch

from muse_core.losses.adversarial import (
    LeCamAnchors,
    discriminator_loss,
    generator_loss,
    lecam_penalty,
)


def logits(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32).view(-1, 1, 1, 1)


def test_the_hinge_by_hand() -> None:
    """Real 2, 0.5 miss their margin by 0, 0.5; fake -2, 0.5 by 0, 1.5: (0.25 + 0.75) / 2."""
    assert discriminator_loss(logits(2, 0.5), logits(-2, 0.5)).item() == pytest.approx(0.5)
    assert discriminator_loss(logits(1, 3), logits(-1, -4)).item() == 0
    assert discriminator_loss(logits(0.0), logits(0.0)).item() == 1


def test_the_generator_wants_high_logits() -> None:
    fake = logits(1.0, -3.0).requires_grad_(True)
    loss = generator_loss(fake)
    loss.backward()
    assert loss.item() == 1.0 and (fake.grad == -0.5).all()


def test_lecam_is_zero_at_its_anchors_and_grows_beyond_them() -> None:
    anchors = LeCamAnchors(real=0.7, fake=-0.4)
    assert lecam_penalty(logits(-0.4), logits(0.7), anchors).item() == 0
    assert lecam_penalty(logits(1.6), logits(0.7), anchors).item() == pytest.approx(4.0)
    assert lecam_penalty(logits(-0.4), logits(-0.3), anchors).item() == pytest.approx(1.0)


def test_the_anchors_follow_the_running_means() -> None:
    anchors = LeCamAnchors(decay=0.9)
    for _ in range(2):
        anchors.update(2.0, -1.0)
    assert anchors.real == pytest.approx(2 * (1 - 0.9**2)) and anchors.fake == pytest.approx(
        -(1 - 0.9**2)
    )
