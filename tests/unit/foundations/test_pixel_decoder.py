import pytest
import torch
from diffusers import AutoencoderDC
from safetensors.torch import load_file, save_file

from muse_core.errors import MuseError
from muse_core.foundations.pixel_decoder import PixelDecoder, load_autoencoder, reconstruct_with

CONFIG = dict(
    latent_channels=8,
    attention_head_dim=8,
    encoder_block_types=["ResBlock"] * 3,
    decoder_block_types=["ResBlock"] * 3,
    encoder_block_out_channels=[8, 16, 16],
    decoder_block_out_channels=[8, 16, 16],
    encoder_layers_per_block=[1] * 3,
    decoder_layers_per_block=[1] * 3,
    encoder_qkv_multiscales=[[]] * 3,
    decoder_qkv_multiscales=[[]] * 3,
    upsample_block_type="pixel_shuffle",
    downsample_block_type="conv",
)


@torch.no_grad()
def test_it_is_the_autoencoders_decoder_with_minus_one_to_one_mapped_to_zero_to_one() -> None:
    autoencoder, latent = AutoencoderDC(**CONFIG).eval(), torch.randn(2, 8, 4, 6)
    decoder = PixelDecoder.from_autoencoder(autoencoder).eval()
    assert torch.equal(decoder(latent), (autoencoder.decode(latent).sample + 1) / 2)
    assert decoder(latent).shape == (2, 3, 16, 24) and decoder.latent_channels == 8


@torch.no_grad()
def test_latents_of_unit_scale_are_divided_by_the_scaling_factor() -> None:
    autoencoder = AutoencoderDC(**CONFIG, scaling_factor=0.4).eval()
    latent = torch.randn(1, 8, 4, 4)
    decoder = PixelDecoder.from_autoencoder(autoencoder).eval()
    assert torch.equal(decoder(latent), (autoencoder.decode(latent / 0.4).sample + 1) / 2)


@torch.no_grad()
def test_its_description_rebuilds_it_and_overshoot_is_kept() -> None:
    autoencoder, latent = AutoencoderDC(**CONFIG).eval(), 10 * torch.randn(1, 8, 4, 4)
    decoder = PixelDecoder.from_autoencoder(autoencoder).eval()
    rebuilt = PixelDecoder(decoder.describe()).eval()
    rebuilt.load_state_dict(decoder.state_dict())
    assert torch.equal(rebuilt(latent), decoder(latent))
    for weight in rebuilt.network.conv_out.parameters():
        weight.mul_(100)
    assert rebuilt(latent).max() > 1 and rebuilt(latent).min() < 0


@torch.no_grad()
def test_reconstructing_works_on_minus_one_to_one_inside_and_zero_to_one_outside() -> None:
    autoencoder, images = AutoencoderDC(**CONFIG).eval(), torch.rand(2, 3, 16, 16)
    expected = autoencoder(2 * images - 1).sample / 2 + 0.5
    torch.testing.assert_close(reconstruct_with(autoencoder, images), expected)


def test_an_autoencoder_that_lacks_a_weight_is_a_sentence(tmp_path) -> None:
    """diffusers alone logs a warning and leaves the weight without a value."""
    AutoencoderDC(**CONFIG).save_pretrained(tmp_path)
    file = next(tmp_path.glob("*.safetensors"))
    weights = load_file(file)
    del weights["decoder.conv_in.bias"]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(MuseError, match=r"The autoencoder checkpoint .* lacks 1 weights"):
        load_autoencoder(tmp_path)


def test_a_folder_that_does_not_exist_is_a_sentence(tmp_path) -> None:
    with pytest.raises(MuseError, match=r"The autoencoder folder .* does not exist"):
        load_autoencoder(tmp_path / "nowhere")
