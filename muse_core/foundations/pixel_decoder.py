"""The pixel decoder: DC-AE (diffusers' `AutoencoderDC`). MUSE keeps its decoder; the whole serves
as a baseline.
"""

from inspect import signature
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderDC
from diffusers.models.autoencoders.autoencoder_dc import Decoder
from torch import nn

from muse_core.foundations.loading import load_whole
from muse_core.foundations.parts import AUTOENCODER, open_part
from muse_core.shapes import Images, Latents

DECODER_KEYS = {
    "in_channels": "in_channels",
    "latent_channels": "latent_channels",
    "attention_head_dim": "attention_head_dim",
    "decoder_block_types": "block_type",
    "decoder_block_out_channels": "block_out_channels",
    "decoder_layers_per_block": "layers_per_block",
    "decoder_qkv_multiscales": "qkv_multiscales",
    "upsample_block_type": "upsample_block_type",
    "decoder_norm_types": "norm_type",
    "decoder_act_fns": "act_fn",
    "decoder_in_shortcut": "in_shortcut",
    "decoder_conv_act_fn": "conv_act_fn",
}
"""What of an `AutoencoderDC` configuration describes its decoder -> the decoder's own word for it.
"""
DEFAULTS = {
    name: parameter.default
    for name, parameter in signature(AutoencoderDC.__init__).parameters.items()
}


def load_autoencoder(location: str | Path) -> AutoencoderDC:
    """The whole DC-AE (Chen et al. 2024, arXiv 2410.10733), from a folder or hub id.

    Raises:
        MuseError: Where it is missing, damaged or of another kind.
    """
    folder = open_part(AUTOENCODER, location)
    load, where = AutoencoderDC.from_pretrained, str(folder)
    return load_whole(load, AUTOENCODER.name, where, torch_dtype=torch.float32)


def encode_with(autoencoder: AutoencoderDC, images: Images) -> Latents:
    """The latents of a DC-AE, at its own scale."""
    encoded: Any = autoencoder.encode(images * 2 - 1)
    return encoded.latent


def reconstruct_with(autoencoder: AutoencoderDC, images: Images) -> Images:
    """Images through encoder and decoder of a DC-AE, which works on [-1, 1]; not clamped."""
    decoded: Any = autoencoder.decode(encode_with(autoencoder, images))
    return decoded.sample / 2 + 0.5


class PixelDecoder(nn.Module):
    """Latent (batch, channels, h, w) -> images in [0, 1] (not clamped: the losses need the
    overshoot).

    MUSE's latents are of unit scale: DC-AE's own are these divided by its ``scaling_factor``,
    applied here and nowhere else."""

    def __init__(self, config: dict[str, Any]) -> None:
        """``config``: the decoder's part of an `AutoencoderDC` configuration (as `describe` returns
        it).
        """
        super().__init__()
        self.config = {
            key: config.get(key, DEFAULTS[key]) for key in ("scaling_factor", *DECODER_KEYS)
        }
        self.network = Decoder(**{own: self.config[key] for key, own in DECODER_KEYS.items()})

    @classmethod
    def from_autoencoder(cls, autoencoder: AutoencoderDC) -> "PixelDecoder":
        decoder = cls(dict(autoencoder.config))
        decoder.network.load_state_dict(autoencoder.decoder.state_dict())
        return decoder

    def describe(self) -> dict[str, Any]:
        """The configuration that rebuilds this network."""
        return self.config

    @property
    def latent_channels(self) -> int:
        return self.config["latent_channels"]

    def forward(self, latents: Latents) -> Images:
        return self.network(latents / self.config["scaling_factor"]) / 2 + 0.5
