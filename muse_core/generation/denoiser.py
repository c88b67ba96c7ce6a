"""The denoiser: SANA's transformer (diffusers), at a size of `DENOISERS`."""

from pathlib import Path

from diffusers import SanaTransformer2DModel
from torch import Tensor

from muse_core.config.preset import DenoiserShape
from muse_core.foundations.loading import load_whole
from muse_core.generation.caption_embeddings import Conditioning
from muse_core.losses.flow_matching import Times
from muse_core.shapes import Latents

TIMESTEPS = 1000
"""SANA's clock: time 1 is timestep 1000."""


def build_denoiser(
    shape: DenoiserShape, channels: int, side: int, caption_width: int
) -> SanaTransformer2DModel:
    """A new denoiser with random weights.

    Args:
        shape: Layers, heads and their widths.
        channels: Of a latent.
        side: Rows and columns of a latent.
        caption_width: Of the text tower's tokens.
    """
    return SanaTransformer2DModel(
        in_channels=channels,
        out_channels=channels,
        cross_attention_dim=shape.num_cross_attention_heads * shape.cross_attention_head_dim,
        caption_channels=caption_width,
        sample_size=side,
        patch_size=1,
        **vars(shape),
    )


def load_denoiser(location: str | Path) -> SanaTransformer2DModel:
    """A denoiser from a folder.

    Raises:
        MuseError: The folder is damaged, or holds something else.
    """
    return load_whole(SanaTransformer2DModel.from_pretrained, "denoiser", str(location))


def velocity(
    denoiser: SanaTransformer2DModel, latents: Latents, time: Times, prompts: Conditioning
) -> Tensor:
    """The predicted velocity v(x_t, t, prompt), of the latents' shape.

    Args:
        denoiser: The network.
        latents: x_t, normalised, (batch, channels, rows, columns).
        time: t of each sample, 0 data and 1 noise.
        prompts: One a sample.
    """
    return denoiser(
        latents,
        encoder_hidden_states=prompts.states,
        timestep=time * TIMESTEPS,
        encoder_attention_mask=prompts.mask,
    ).sample
