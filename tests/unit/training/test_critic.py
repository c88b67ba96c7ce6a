"""The critic: its gradient by hand, and that nothing moves before its step."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from accelerate import Accelerator

from muse_core.config.presets import tiny
from muse_core.training.critic import LECAM_WEIGHT, Critic

STAGE = tiny().curriculum["03_synergistic_tuning"]


def critic(stage=STAGE) -> Critic:
    torch.manual_seed(3)
    return Critic(stage, Accelerator(cpu=True))


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)


def test_its_gradient_is_of_hinge_and_lecam() -> None:
    held, (real, fake) = critic(), pair()
    held.anchors.real, held.anchors.fake = 0.3, -0.2
    copy = deepcopy(held.network)
    step = held.gradient(real, fake)
    logits_real, logits_fake = copy(real), copy(fake)
    hinge = (F.relu(1 - logits_real).mean() + F.relu(1 + logits_fake).mean()) / 2
    lecam = F.relu(logits_real + 0.2).square().mean() + F.relu(0.3 - logits_fake).square().mean()
    (hinge + LECAM_WEIGHT * lecam).backward()
    for ours, theirs in zip(held.network.parameters(), copy.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)
    assert step() == pytest.approx(hinge.item(), rel=1e-5)
    torch.testing.assert_close(held.anchors.real, 0.3 + 0.01 * (logits_real.mean().item() - 0.3))
    torch.testing.assert_close(held.anchors.fake, -0.2 + 0.01 * (logits_fake.mean().item() + 0.2))


def test_weights_and_anchors_wait_for_the_step() -> None:
    held = critic()
    before = [weight.clone() for weight in held.network.parameters()]
    step = held.gradient(*pair())
    assert all(map(torch.equal, before, held.network.parameters()))
    assert (held.anchors.real, held.anchors.fake) == (0, 0)
    step()
    assert not any(map(torch.equal, before, held.network.parameters()))
    assert held.anchors.real != 0 != held.anchors.fake


def test_it_learns_to_tell_bright_from_dark() -> None:
    held = critic()
    real, fake = torch.rand(4, 3, 16, 16) * 0.5 + 0.5, torch.rand(4, 3, 16, 16) * 0.5
    losses = [held.gradient(real, fake)() for _ in range(30)]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("which", [0, 1])
def test_a_loss_that_is_not_finite_is_an_error_before_any_step(which) -> None:
    held, images = critic(), list(pair())
    images[which] = images[which] * float("nan")
    before = [weight.clone() for weight in held.network.parameters()]
    with pytest.raises(FloatingPointError, match="the critic's loss is nan"):
        held.gradient(*images)
    assert all(map(torch.equal, before, held.network.parameters()))
    assert held.remembered() == {"lecam": [0.0, 0.0]}


def test_no_gradient_reaches_what_was_detached() -> None:
    held, (real, fake) = critic(), pair()
    images = fake.requires_grad_()
    held.gradient(real, images.detach())
    assert images.grad is None


def test_anchors_are_remembered() -> None:
    first, second = critic(), critic()
    first.gradient(*pair())()
    second.recall(first.remembered())
    assert second.anchors == first.anchors and first.anchors.real != 0


def test_its_rate_is_a_share_of_the_stages() -> None:
    (group,) = critic(replace(STAGE, discriminator_rate=0.25)).optimiser.param_groups
    assert group["peak_rate"] == STAGE.learning_rate / 4
    assert group["betas"] == (0.5, 0.99)
