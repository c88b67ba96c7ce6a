import torch

from muse_core.models.discriminator import PatchDiscriminator, frozen_logits


def test_one_logit_a_patch() -> None:
    assert PatchDiscriminator(8, 3)(torch.rand(2, 3, 64, 64)).shape == (2, 1, 8, 8)


def test_frozen_logits_teach_the_images_and_nothing_of_the_critic() -> None:
    critic, images = PatchDiscriminator(8, 2), torch.rand(2, 3, 32, 32, requires_grad=True)
    before = {name: value.clone() for name, value in critic.state_dict().items()}
    frozen_logits(critic, images).sum().backward()
    assert images.grad.abs().sum() > 0
    assert all(weight.grad is None for weight in critic.parameters())
    after = critic.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before), "spectral norm has moved"
    assert critic.training


def test_frozen_logits_are_the_critics_own() -> None:
    critic, images = PatchDiscriminator(8, 2).eval(), torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(frozen_logits(critic, images), critic(images))
    assert not critic.training


def test_training_the_critic_does_move_its_spectral_norm() -> None:
    """The buffers that must stay still above are really there."""
    critic = PatchDiscriminator(8, 2)
    before = {name: value.clone() for name, value in critic.named_buffers()}
    critic(torch.rand(2, 3, 32, 32))
    assert before and any(
        not torch.equal(before[name], value) for name, value in critic.named_buffers()
    )


def test_each_layer_has_unit_gain() -> None:
    """Spectral norm: the largest singular value of every convolution is 1, once power iteration has
    settled.
    """
    critic = PatchDiscriminator(8, 2)
    for _ in range(50):
        critic(torch.rand(1, 3, 16, 16))
    critic.eval()
    for layer in critic.layers:
        if hasattr(layer, "weight"):
            assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() < 1.02
