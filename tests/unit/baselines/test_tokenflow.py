"""TokenFlow: one index for both codebooks, and two decoders of the same codes."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from muse_core.baselines.tokenflow import CODES, SEMANTIC, TokenFlow
from muse_core.baselines.visual_tokenizer import to_tokens
from muse_core.errors import MuseError

from .small_world import Said, SmallWorld, images, scenes


def tokenflow(world: SmallWorld) -> TokenFlow:
    network = world.new("tokenflow")
    assert isinstance(network, TokenFlow)
    return network


@pytest.mark.parametrize(
    ("image_size", "scales"), [(32, (1, 2, 4)), (48, (1, 2, 4, 6)), (64, (1, 2, 4, 8))]
)
def test_its_scales_end_with_the_backbones_grid(world: SmallWorld, image_size, scales) -> None:
    parts = replace(world.parts, preset=replace(world.preset, image_size=image_size))
    assert TokenFlow.assembled(parts).quantiser.scales == scales


def test_the_latent_is_the_sum_of_both_codebooks_at_the_same_indices(world: SmallWorld) -> None:
    network = tokenflow(world)
    encoded, total, first = network.encode(images()), torch.zeros(3, 24, 4, 4), 0
    assert encoded.codes is not None and encoded.codes.shape == (3, 1 + 4 + 16, 1)
    books = [F.normalize(each, dim=-1) for each in network.quantiser.parameters()]
    for scale in (1, 2, 4):
        index = encoded.codes[:, first : first + scale**2, 0].unflatten(1, (scale, scale))
        pair = torch.cat([book[index] for book in books], -1).permute(0, 3, 1, 2)
        grown = pair if scale == 4 else F.interpolate(pair, (4, 4), mode="bicubic")
        total, first = total + grown, first + scale**2
    torch.testing.assert_close(encoded.latent, total)
    assert torch.equal(encoded.tokens[CODES], to_tokens(encoded.latent))


def test_it_starts_from_the_backbone_and_names_by_its_projection(world: SmallWorld) -> None:
    network, given = tokenflow(world), images()
    frozen = world.parts.backbone
    for name, value in frozen.state_dict().items():
        assert torch.equal(value, network.semantic_encoder.state_dict()[name])
    assert torch.equal(network.projection.weight, world.parts.projection().weight)
    encoded = network.encode(given)
    torch.testing.assert_close(
        encoded.embedding, encoded.tokens[SEMANTIC].mean(1) @ network.projection.weight.T
    )


def test_semantics_are_decoded_towards_the_frozen_backbones_tokens(world: SmallWorld) -> None:
    network, batch = tokenflow(world), scenes()
    step = network(batch.images)
    decoded, target = step.encoded.tokens[SEMANTIC], world.targets(batch).backbone_tokens
    assert torch.equal(target, world.parts.backbone.eval()(batch.images))
    cosines = [
        torch.cosine_similarity(decoded[image, place], target[image, place], dim=0)
        for image in range(3)
        for place in range(16)
    ]
    found = network.own_losses(step, world.targets(batch))
    torch.testing.assert_close(found["semantic_decoder"], 1 - torch.stack(cosines).mean())
    same = network.own_losses(step, Said(backbone_tokens=2 * decoded))
    assert same["semantic_decoder"].abs() < 1e-6


def heard(part: torch.nn.Module) -> bool:
    return any(weight.grad is not None and weight.grad.any() for weight in part.parameters())


def test_each_decoder_reads_and_trains_its_own_half(world: SmallWorld) -> None:
    network = tokenflow(world)
    semantic = network.semantic_encoder, network.to_semantic, network.semantic_decoder
    pixel = network.pixel_encoder, network.pixel_decoder
    network(images()).reconstruction.square().sum().backward()
    assert all(map(heard, pixel)) and not any(map(heard, semantic))
    assert all(book.grad is None for book in network.quantiser.parameters())
    network.zero_grad()
    network.encode(images()).tokens[SEMANTIC].square().sum().backward()
    assert all(map(heard, semantic)) and not any(map(heard, pixel))


def test_a_generated_latent_is_put_on_codes_before_it_is_decoded(world: SmallWorld) -> None:
    network, latent = tokenflow(world), torch.randn(2, 24, 4, 4)
    found = network.quantiser(latent[:, :16], latent[:, 16:])
    assert torch.equal(network.on_codes(latent), found.latent)
    assert not torch.equal(found.latent, latent)


def test_grids_of_two_sizes_are_refused(world: SmallWorld) -> None:
    given = dict(world.new("tokenflow").config)
    kept = {name: given[name] for name in ("backbone_config", "embedding_width", "image_size")}
    with pytest.raises(MuseError, match=r"halves 2 times, .* patches of 8 pixels"):
        TokenFlow(**kept, widths=(8, 16, 32))


def test_codes_learn_from_the_codebook_loss_alone(world: SmallWorld) -> None:
    network = tokenflow(world)
    network.encode(images()).aside["codebook"].backward()
    assert all(book.grad is not None and book.grad.any() for book in network.quantiser.parameters())
