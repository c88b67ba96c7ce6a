"""The denoiser: SANA's transformer (diffusers) at one of the sizes of
`muse_core.config.preset.DENOISERS`.
"""

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
    """A new one for latents (channels, side, side) and text tokens ``caption_width`` wide."""
    return SanaTransformer2DModel(
        in_channels=channels,
        out_channels=channels,
        num_attention_heads=shape.heads,
        attention_head_dim=shape.head_width,
        num_layers=shape.layers,
        num_cross_attention_heads=shape.cross_heads,
        cross_attention_head_dim=shape.cross_head_width,
        cross_attention_dim=shape.cross_heads * shape.cross_head_width,
        caption_channels=caption_width,
        sample_size=side,
        patch_size=1,
        interpolation_scale=shape.interpolation_scale,
    )


def load_denoiser(location: str | Path) -> SanaTransformer2DModel:
    """From a folder. Raises MuseError, as `load_whole`, where it is damaged or holds something
    else.
    """
    return load_whole(
        SanaTransformer2DModel.from_pretrained, "SanaTransformer2DModel", "denoiser", str(location)
    )


def velocity(
    denoiser: SanaTransformer2DModel, latents: Latents, time: Times, prompts: Conditioning
) -> Tensor:
    """v(x_t, t, prompt), of the latents' shape; ``time`` in [0, 1]."""
    return denoiser(
        latents,
        encoder_hidden_states=prompts.states,
        timestep=time * TIMESTEPS,
        encoder_attention_mask=prompts.mask,
    ).sample
