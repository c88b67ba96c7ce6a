"""Every tokenizer gives and takes images in [0, 1], frozen."""

import pytest
import torch
from diffusers import AutoencoderDC
from torch import nn

from muse_core.errors import MuseError
from muse_core.generation.codecs import Codec
from muse_core.training.freshness import weights_digest

from ..models.small_models import small_tokenizer


def small_autoencoder() -> AutoencoderDC:
    blocks, widths = ["ResBlock"] * 2, [8, 16]
    return AutoencoderDC(
        latent_channels=4,
        attention_head_dim=8,
        encoder_block_types=blocks,
        decoder_block_types=blocks,
        encoder_block_out_channels=widths,
        decoder_block_out_channels=widths,
        encoder_layers_per_block=[1, 1],
        decoder_layers_per_block=[1, 1],
        encoder_qkv_multiscales=[[], []],
        decoder_qkv_multiscales=[[], []],
        upsample_block_type="pixel_shuffle",
        downsample_block_type="conv",
    )


def test_the_plain_autoencoder_works_between_minus_one_and_one() -> None:
    network = small_autoencoder().eval()
    images = torch.rand(2, 3, 16, 16)
    codec = Codec(network)
    latents = codec.encode(images)
    assert torch.equal(latents, network.encode(images * 2 - 1).latent)
    assert torch.allclose(
        codec.decode(latents), network.decode(latents).sample / 2 + 0.5, atol=1e-6
    )


def test_muse_works_on_the_images_as_they_are_and_stays_frozen() -> None:
    tokenizer = small_tokenizer()
    codec, side = Codec(tokenizer), tokenizer.config.image_size
    images = torch.rand(2, 3, side, side)
    assert torch.equal(codec.encode(images), tokenizer.encode(images).latent)
    assert not any(weight.requires_grad for weight in tokenizer.parameters())
    assert codec.fingerprint == weights_digest(tokenizer)


def test_another_network_is_a_sentence() -> None:
    with pytest.raises(
        MuseError, match="A Linear has no latents to generate: give a MuseTokenizer"
    ):
        Codec(nn.Linear(1, 1))
