"""RAE: normalised frozen tokens, and a decoder that learns to bear noise."""

import pytest
import torch

from muse_core.baselines.rae import PATCHES, Rae
from muse_core.baselines.visual_tokenizer import to_tokens
from muse_core.errors import MuseError
from muse_core.foundations.image_tower import ImageTower

from ...integration.systems import bits
from .small_world import SmallWorld, images, scenes


def rae(world: SmallWorld) -> Rae:
    network = world.new("rae")
    assert isinstance(network, Rae)
    return network


def test_the_latent_of_the_calibration_images_has_mean_0_and_spread_1(world: SmallWorld) -> None:
    latent = rae(world).encode(world.parts.images).latent
    for channel in latent.unbind(1):
        assert channel.mean().item() == pytest.approx(0, abs=1e-4)
        assert channel.std().item() == pytest.approx(1, abs=1e-3)


def test_tokens_and_embedding_are_the_frozen_backbones(world: SmallWorld) -> None:
    encoded, given = rae(world).encode(images()), images()
    assert torch.equal(encoded.tokens[PATCHES], world.parts.backbone.eval()(given))
    tower = ImageTower(world.parts.backbone, world.parts.projection())
    torch.testing.assert_close(encoded.embedding, tower(given))


def test_decoding_is_without_noise_outside_training(world: SmallWorld) -> None:
    network = rae(world)
    with torch.no_grad():
        latent = network.encode(images()).latent
        first, second = network.decode(latent).sample, network.decode(latent).sample
        assert torch.equal(first, second)
        clean = network.decoder(to_tokens(latent), return_dict=True).logits
        expected = network.decoder.unpatchify(clean) / 2 + 0.5
        assert torch.equal(first, expected)
        network.train()
        assert not torch.equal(network.decode(latent).sample, network.decode(latent).sample)


def test_latents_carry_no_noise_in_training_either(world: SmallWorld) -> None:
    network = rae(world)
    before = network.encode(images()).latent
    network.train()
    network.backbone.eval()
    assert torch.equal(network.encode(images()).latent, before)


def test_each_image_has_noise_of_its_own_strength_up_to_the_largest(world: SmallWorld) -> None:
    network = rae(world)
    latent = torch.randn(400, 32, 8, 8)
    noise = network.with_noise(latent) - latent
    strength = noise.flatten(1).std(1)
    assert strength.min() < 0.03 and 0.75 < strength.max() < 0.85
    assert strength.mean().item() == pytest.approx(0.4, abs=0.04)
    quarters = torch.histc(strength, 4, 0, 0.8) / 400
    assert ((quarters - 0.25).abs() < 0.08).all(), "uniform"
    assert noise.mean().abs() < 0.01


def test_training_moves_the_decoder_alone(world: SmallWorld) -> None:
    task = world.task("rae")
    before = bits(task.network)
    for step in range(2):
        task.update(scenes(), step)
    after = bits(task.network)
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert changed == set(task.weights) and all(each.startswith("decoder.") for each in changed)
    assert {"mean", "std"} <= before.keys()


def test_images_of_another_shape_are_encoded_and_refused_by_the_decoder(world: SmallWorld) -> None:
    network = rae(world)
    latent = network.encode(torch.rand(1, 3, 32, 64)).latent
    with pytest.raises(MuseError, match=r"this one has 4 x 8: give images of 32 x 32 pixels"):
        network.decode(latent)
