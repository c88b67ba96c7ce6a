"""UniLIP: two stages, and a distillation target that never moves."""

import torch

from muse_core.baselines.unilip import LATENT, PATCHES, ResidualBlock, UniLip
from muse_core.baselines.visual_tokenizer import to_tokens

from ...integration.systems import bits
from .small_world import Said, SmallWorld, images, scenes


def unilip(world: SmallWorld) -> UniLip:
    network = world.new("unilip")
    assert isinstance(network, UniLip)
    return network


def test_a_block_adds_to_its_tokens() -> None:
    block, tokens = ResidualBlock(6), torch.randn(2, 3, 6)
    norm, first, _, second = block.layers
    inner = torch.nn.functional.gelu(first(norm(tokens)))
    torch.testing.assert_close(block(tokens), tokens + second(inner))


def test_it_starts_as_backbone_and_decoder_were(world: SmallWorld) -> None:
    network, batch = unilip(world), scenes()
    encoded = network.encode(batch.images)
    frozen = world.parts.backbone.eval()(batch.images)
    assert torch.equal(encoded.tokens[PATCHES], frozen)
    assert torch.equal(network.projection.weight, world.parts.projection().weight)
    latent = torch.randn(1, network.decoder.latent_channels, 4, 4)
    decoded = world.parts.autoencoder.decode(latent).sample / 2 + 0.5
    torch.testing.assert_close(network.decode(latent).sample, decoded)
    assert torch.equal(encoded.tokens[LATENT], to_tokens(encoded.latent))
    torch.testing.assert_close(encoded.embedding, network.projection(frozen.mean(1)))


def test_distillation_is_nothing_at_the_start_and_a_squared_distance_later(world) -> None:
    network, batch = unilip(world), scenes()
    step = network(batch.images)
    assert network.own_losses(step, world.targets(batch))["distillation"] == 0
    target = torch.randn_like(step.encoded.tokens[PATCHES])
    found = network.own_losses(step, Said(backbone_tokens=target))["distillation"]
    pairs = zip(step.encoded.tokens[PATCHES].flatten(), target.flatten(), strict=True)
    squares = [(one - two).item() ** 2 for one, two in pairs]
    torch.testing.assert_close(found.item(), sum(squares) / len(squares), rtol=1e-5, atol=0)


def test_the_target_is_the_same_bit_for_bit_after_steps(world: SmallWorld) -> None:
    task, batch = world.task("unilip", 1), scenes()
    before, frozen = world.targets(batch).backbone_tokens, bits(world.teachers.backbone)
    rows = [task.update(batch, step) for step in range(3)]
    assert rows[0]["loss/distillation"] == 0 < rows[1]["loss/distillation"]
    assert torch.equal(world.targets(batch).backbone_tokens, before)
    after = bits(world.teachers.backbone)
    assert all(torch.equal(value, after[name]) for name, value in frozen.items())
    tuned = task.network.encode(batch.images).tokens[PATCHES]
    assert not torch.equal(tuned, before), "the system's own backbone has moved away"


def moved(task, steps: int = 1) -> dict[str, torch.Tensor]:
    before = bits(task.network)
    for step in range(steps):
        task.update(scenes(), step)
    return {name: (value - before[name]).abs() for name, value in bits(task.network).items()}


def test_stage_one_leaves_the_backbone_and_stage_two_tunes_it_at_a_tenth(world) -> None:
    first = moved(world.task("unilip", 0), steps=2)
    assert not any(change.any() for name, change in first.items() if name.startswith("backbone."))
    assert all(first[name].any() for name in first if name.startswith("to_latent."))
    rate = world.stage("unilip", 1).learning_rate
    calm = dict(weight_decay=0.0, warmup_share=0.0, clip_norm=1e6)
    second = moved(world.task("unilip", 1, **calm))
    largest = lambda part: max(c.max() for n, c in second.items() if n.startswith(part))
    # Adam's first step is the rate, whatever the gradient.
    torch.testing.assert_close(largest("backbone.").item(), rate / 10, rtol=0.01, atol=0)
    torch.testing.assert_close(largest("to_latent.").item(), rate, rtol=0.01, atol=0)
    assert not second["projection.weight"].any()


def test_images_of_another_size_than_the_decoder_makes_are_resized(world: SmallWorld) -> None:
    network = unilip(world)
    latent = network.encode(images()).latent
    assert network.decode(latent).sample.shape == (3, 3, 32, 32)
    assert network.decode(latent, (40, 24)).sample.shape == (3, 3, 40, 24)
    torch.testing.assert_close(
        network.decode(latent, (32, 32)).sample, network.decode(latent).sample
    )
