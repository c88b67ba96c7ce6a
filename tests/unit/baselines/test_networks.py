"""Networks that baselines share: sizes, places and scales."""

import math

import pytest
import torch
from timm.models.vitamin import GeGluMlp
from torch import nn

from muse_core.baselines.networks import (
    Contrast,
    ConvolutionalDecoder,
    ConvolutionalEncoder,
    HybridDecoder,
    HybridEncoder,
    PatchDecoder,
    blocks,
)


@pytest.mark.parametrize("double", [False, True])
def test_convolutions_halve_once_less_than_there_are_widths(double) -> None:
    encoder = ConvolutionalEncoder((8, 16, 16), 5, double)
    latent = encoder(torch.rand(2, 3, 16, 24))
    assert latent.shape == (2, 10 if double else 5, 4, 6)
    assert ConvolutionalDecoder((8, 16, 16), 5)(latent[:, :5]).shape == (2, 3, 16, 24)


def test_the_encoder_ends_with_the_weight_it_names() -> None:
    encoder, images = ConvolutionalEncoder((8, 16), 4), torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        encoder.last.zero_()
    constant = encoder(images)
    torch.testing.assert_close(constant, constant[..., :1, :1].expand_as(constant))
    assert any(encoder.last is weight for weight in encoder.parameters())


def test_networks_work_on_minus_one_to_one() -> None:
    """A decoder that gives zeros makes grey, and an encoder sees black as -1."""
    for decoder in (ConvolutionalDecoder((8, 16), 4), HybridDecoder((8, 8, 16), 1, 2)):
        last = getattr(decoder, "out", None) or decoder.network.conv_out  # type: ignore[union-attr]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        channels = 4 if isinstance(decoder, ConvolutionalDecoder) else 16
        grey = decoder(torch.randn(1, channels, 2, 2))
        torch.testing.assert_close(grey, torch.full_like(grey, 0.5))
    seen = []
    encoder = ConvolutionalEncoder((8, 16), 4)
    encoder.network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    encoder(torch.zeros(1, 3, 8, 8))
    assert (seen[0] == -1).all()


def test_the_hybrid_halves_thrice_and_back() -> None:
    latent = HybridEncoder((8, 8, 16), 1, 2)(torch.rand(2, 3, 32, 48))
    assert latent.shape == (2, 16, 4, 6)
    assert HybridDecoder((8, 8, 16), 1, 2)(latent).shape == (2, 3, 32, 48)


def test_the_hybrids_blocks_know_no_places_and_are_gated() -> None:
    encoder = HybridEncoder((8, 8, 16), 2, 2).eval()
    tokens, order = torch.randn(2, 10, 16), torch.randperm(10)
    torch.testing.assert_close(encoder.blocks(tokens[:, order]), encoder.blocks(tokens)[:, order])
    assert all(isinstance(block.mlp, GeGluMlp) for block in encoder.blocks)
    assert not any(isinstance(block.mlp, GeGluMlp) for block in blocks(16, 2, 2))


def test_a_token_becomes_its_own_patch() -> None:
    decoder = PatchDecoder(6, 1, 2, side=3, patch=4)
    decoder.blocks = nn.Sequential()
    latent = torch.randn(1, 6, 3, 3)
    other = latent.clone()
    other[0, :, 1, 2] += 1
    changed = (decoder(latent) - decoder(other)).abs().sum(1)[0] > 0
    inside = torch.zeros(12, 12, dtype=torch.bool)
    inside[4:8, 8:12] = True
    assert not (changed & ~inside).any() and changed[inside].all()


def test_patches_have_places() -> None:
    decoder = PatchDecoder(8, 1, 2, side=3, patch=2).eval()
    same = torch.randn(1, 8, 1, 1).expand(1, 8, 3, 3)
    found = decoder(same)
    assert (found[..., :2, :2] - found[..., 2:4, :2]).abs().max() > 0
    assert decoder(torch.randn(1, 8, 4, 5)).shape == (1, 3, 8, 10), "on another grid"


def test_contrast_is_the_cross_entropy_of_both_directions_by_hand() -> None:
    contrast, image, text = Contrast(), torch.randn(3, 5), torch.randn(3, 5)
    scale = contrast.log_scale.exp().item()
    table = [
        [scale * torch.cosine_similarity(image[i], text[j], dim=0).item() for j in range(3)]
        for i in range(3)
    ]
    total = 0.0
    for i in range(3):
        row = sum(math.exp(table[i][j]) for j in range(3))
        column = sum(math.exp(table[j][i]) for j in range(3))
        total -= (2 * table[i][i] - math.log(row) - math.log(column)) / 6
    assert contrast(image, text).item() == pytest.approx(total, rel=1e-5)


def test_the_temperature_is_learned_and_held_back() -> None:
    contrast, image, text = Contrast(), torch.randn(3, 5), torch.randn(3, 5)
    contrast(image, text).backward()
    assert contrast.log_scale.grad is not None and contrast.log_scale.grad != 0
    with torch.no_grad():
        contrast.log_scale.fill_(math.log(100.0))
        at_most = contrast(image, text)
        contrast.log_scale.fill_(20.0)
        torch.testing.assert_close(contrast(image, text), at_most)


def test_no_channel_is_normalised_alone() -> None:
    """It would lose its mean, and the images their brightness."""
    widths = (16, 32, 64, 96)
    networks = ConvolutionalEncoder(widths, 8), ConvolutionalDecoder(widths, 8)
    norms = [each for net in networks for each in net.modules() if isinstance(each, nn.GroupNorm)]
    assert norms and all(each.num_channels // each.num_groups >= 4 for each in norms)
