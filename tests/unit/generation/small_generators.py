"""A pipeline small enough to sample in a tenth of a second: random weights, known words."""

import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from muse_core.config.preset import DenoiserShape
from muse_core.config.presets import tiny
from muse_core.foundations.text_tower import TextTower
from muse_core.generation.codecs import Codec
from muse_core.generation.denoiser import build_denoiser
from muse_core.generation.latent_normalisation import LatentNormalisation
from muse_core.generation.pipeline import MusePipeline

from ..models.small_models import small_tokenizer

SMALL = DenoiserShape(2, 8, 2, 2, 8, interpolation_scale=1.0)
WORDS = "a red blue star circle left of and"


def small_pipeline() -> MusePipeline:
    """On a small tokenizer with random weights and the committed text tower."""
    torch.manual_seed(0)
    tokenizer, text = small_tokenizer(), TextTower.from_pretrained(tiny().foundations.text_tower)
    codec = Codec(tokenizer)
    size = tokenizer.config.image_size
    latents = codec.encode(torch.rand(6, 3, size, size))
    denoiser = build_denoiser(
        SMALL, latents.shape[1], latents.shape[2], text.network.config.hidden_size
    )
    normalisation = LatentNormalisation.measured(latents, codec.fingerprint)
    pipeline = MusePipeline(
        tokenizer,
        text.network,
        text.tokenizer,
        denoiser.eval(),
        FlowMatchEulerDiscreteScheduler(),
        normalisation,
        WORDS,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
