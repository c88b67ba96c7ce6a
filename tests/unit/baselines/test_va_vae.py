"""VA-VAE's loss against loops, and its posterior."""

import pytest
import torch
from torch import Tensor

from muse_core.baselines.va_vae import VaVae, vision_foundation_loss
from muse_core.baselines.visual_tokenizer import to_tokens

from .small_world import GRID, Said, SmallWorld, images


def cosine(first: Tensor, second: Tensor) -> float:
    return (first @ second / (first.norm() * second.norm())).item()


def by_loops(latent: Tensor, features: Tensor, distance_margin: float, cosine_margin: float):
    """Eq. 5 and 6 of arXiv 2501.01423."""
    apart, near = [], []
    for z, f in zip(latent, features, strict=True):
        for i in range(len(z)):
            near.append(max(0.0, 1 - cosine_margin - cosine(z[i], f[i])))
            for j in range(len(z)):
                difference = abs(cosine(z[i], z[j]) - cosine(f[i], f[j]))
                apart.append(max(0.0, difference - distance_margin))
    return sum(apart) / len(apart) + sum(near) / len(near)


@pytest.mark.parametrize("margins", [(), (0.0, 0.0), (0.1, 0.9), (0.25, 0.5), (1.0, 0.0)])
def test_the_loss_is_its_formula(margins) -> None:
    latent, features = torch.randn(2, 5, 3), torch.randn(2, 5, 3) + 0.5
    found = vision_foundation_loss(latent, features, *margins).item()
    expected = by_loops(latent, features, *(margins or (0.25, 0.5)))
    assert found == pytest.approx(expected, abs=1e-5) and found > 0


def test_what_is_near_enough_costs_nothing() -> None:
    features = torch.randn(2, 5, 8)
    near = features + 0.05 * torch.randn_like(features)
    assert vision_foundation_loss(3 * near, features) == 0
    assert vision_foundation_loss(near, features, 0.0, 0.0) > 0


def test_the_latent_is_the_mean_and_in_training_a_sample(world: SmallWorld) -> None:
    network, given = world.new("va-vae"), images()
    assert isinstance(network, VaVae)
    with torch.no_grad():
        mean, log_variance = network.encoder(given).chunk(2, 1)
        assert torch.equal(network.encode(given).latent, mean)
        network.train()
        drawn = torch.stack([network.encode(given).latent for _ in range(20)])
    noise = (drawn - mean) / (log_variance / 2).exp()
    assert abs(noise.mean().item()) < 0.05 and noise.std().item() == pytest.approx(1, abs=0.05)
    assert noise[0].std() > 0.5 and not torch.equal(drawn[0], drawn[1])


def test_no_embedding_is_made(world: SmallWorld) -> None:
    assert world.new("va-vae").encode(images()).embedding is None


def test_kl_is_a_mean_over_the_latents_numbers(world: SmallWorld) -> None:
    network, given = world.new("va-vae"), images()
    assert isinstance(network, VaVae)
    mean, log_variance = network.encoder(given).chunk(2, 1)
    each = (mean.square() + log_variance.exp() - 1 - log_variance) / 2
    tokens = torch.randn(3, 36, 32)
    losses = network.own_losses(network(given), Said(teacher_tokens=tokens))
    torch.testing.assert_close(losses["kl"], each.mean())


def test_the_projected_latent_is_compared_in_the_features_places(world: SmallWorld) -> None:
    network, given = world.new("va-vae"), images()
    assert isinstance(network, VaVae)
    step = network(given)
    latent, weight = to_tokens(step.encoded.latent), network.to_features.weight[..., 0, 0]
    projected = torch.stack([torch.stack([weight @ place for place in one]) for one in latent])
    features = torch.randn(3, GRID[0] * GRID[1], weight.shape[0])
    losses = network.own_losses(step, Said(teacher_tokens=features))
    expected = vision_foundation_loss(projected, features)
    torch.testing.assert_close(losses["vision_foundation"], expected)
    finer = features.unflatten(1, GRID).repeat_interleave(2, 1).repeat_interleave(2, 2)
    smooth = features[:, :1].expand_as(features)
    for grid in (smooth, smooth[:, :1].expand(-1, 36, -1)):
        of_grid = network.own_losses(step, Said(teacher_tokens=grid))
        torch.testing.assert_close(
            of_grid["vision_foundation"], vision_foundation_loss(projected, smooth)
        )
    on_finer = network.own_losses(step, Said(teacher_tokens=finer.flatten(1, 2)))
    near = losses["vision_foundation"].item()
    assert on_finer["vision_foundation"].item() == pytest.approx(near, rel=0.2)


def test_its_loss_is_weighed_at_the_encoders_last_weight(world: SmallWorld) -> None:
    network = world.new("va-vae")
    assert isinstance(network, VaVae)
    at = network.adaptive()
    assert at.keys() == {"vision_foundation"}
    assert at["vision_foundation"] is network.encoder.network.conv_out.weight
