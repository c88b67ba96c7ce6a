"""Mean and standard deviation of each latent channel: what a denoiser's latents are scaled by,
exactly once each way.
"""

from pathlib import Path
from typing import Any

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from einops import rearrange

from muse_core.errors import MuseError
from muse_core.foundations.loading import load_whole
from muse_core.shapes import Latents

SMALLEST = 1e-4
"""A channel that never moves is left as it is instead of being blown up."""
REMEDY = "run notebook 08 again"


class LatentNormalisation(ModelMixin, ConfigMixin):
    """The statistics of one tokenizer's latents.

    Args:
        channels: Of a latent.
        tokenizer: Fingerprint of the weights whose latents were measured.
        images: How many there were.
    """

    config_name = "config.json"

    @register_to_config
    def __init__(self, channels: int, tokenizer: str, images: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))

    @classmethod
    def measured(cls, latents: Latents, tokenizer: str) -> "LatentNormalisation":
        """From raw latents.

        Args:
            latents: (images, channels, rows, columns).
            tokenizer: Whose they are, `Codec.fingerprint`.

        Raises:
            MuseError: They are not all finite.
        """
        if not torch.isfinite(latents).all():
            raise MuseError(
                "The latents to be measured are not all finite: look for NaN in the tokenizer's "
                "weights."
            )
        found = cls(latents.shape[1], tokenizer, len(latents))
        channels = rearrange(latents.double(), "b c h w -> c (b h w)")
        std = channels.std(1)
        found.mean.copy_(channels.mean(1))
        found.std.copy_(torch.where(std > SMALLEST, std, torch.ones_like(std)))
        return found

    @classmethod
    def from_pretrained(cls, location: str | Path, **options: Any) -> "LatentNormalisation":
        """From a folder.

        Raises:
            MuseError: It holds none: a denoiser without its latents' scale draws noise.
        """
        if Path(location).is_dir() and not (Path(location) / cls.config_name).exists():
            raise MuseError(
                f"{location} holds no latent statistics: {REMEDY}, which measures and saves them."
            )
        load, what = super().from_pretrained, "latent normalisation"
        return load_whole(load, what, str(location), REMEDY, **options)

    def require(self, tokenizer: str) -> None:
        """Raises MuseError unless these are the statistics of this very tokenizer."""
        if self.config["tokenizer"] != tokenizer:
            raise MuseError(
                f"These latent statistics were measured on tokenizer {self.config['tokenizer']}, "
                f"but the tokenizer here is {tokenizer}: train the denoiser again with notebook "
                "08, or give the tokenizer it was trained on."
            )

    def normalise(self, latents: Latents) -> Latents:
        """Raw -> zero mean, unit variance a channel."""
        return (latents - self.mean.view(-1, 1, 1)) / self.std.view(-1, 1, 1)

    def denormalise(self, latents: Latents) -> Latents:
        """The inverse of `normalise`."""
        return latents * self.std.view(-1, 1, 1) + self.mean.view(-1, 1, 1)
