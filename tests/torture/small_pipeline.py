"""A pipeline on a trained tokenizer with a small, untrained denoiser: it draws noise, and refuses
what a real one refuses.
"""

from pathlib import Path

import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from muse_core.config.preset import DenoiserShape
from muse_core.config.presets import tiny
from muse_core.foundations.text_tower import TextTower
from muse_core.generation.codecs import Codec
from muse_core.generation.denoiser import build_denoiser
from muse_core.generation.latent_normalisation import LatentNormalisation
from muse_core.generation.pipeline import MusePipeline
from muse_core.models.tokenizer import MuseTokenizer

SMALL = DenoiserShape(2, 8, 2, 2, 8, interpolation_scale=1.0)
WORDS = "a red blue star circle left of and"


def small_pipeline(tokenizer_folder: Path) -> MusePipeline:
    """Whole, and quick: two layers of sixteen channels."""
    torch.manual_seed(0)
    tokenizer = MuseTokenizer.from_pretrained(tokenizer_folder).eval()
    text = TextTower.from_pretrained(tiny().foundations.text_tower)
    codec, side = Codec(tokenizer), tokenizer.config.image_size
    latents = codec.encode(torch.rand(6, 3, side, side))
    denoiser = build_denoiser(
        SMALL, latents.shape[1], latents.shape[2], text.network.config.hidden_size
    ).eval()
    normalisation = LatentNormalisation.measured(latents, codec.fingerprint)
    scheduler = FlowMatchEulerDiscreteScheduler()
    pipeline = MusePipeline(
        tokenizer, text.network, text.tokenizer, denoiser, scheduler, normalisation, WORDS
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
