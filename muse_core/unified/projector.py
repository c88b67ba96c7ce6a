"""The projector: an image's tokens become words' embeddings, as many pixels to a token as InternVL3
gives them.
"""

from pathlib import Path
from typing import Any

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from einops import rearrange
from torch import Tensor, nn

from muse_core.errors import MuseError
from muse_core.foundations.loading import load_whole, require_folder_or_hub
from muse_core.shapes import Float, Tokens


class VisualProjector(ModelMixin, ConfigMixin):
    """s x s neighbours are joined, normed, and put through two layers, as InternVL's ``mlp1``."""

    config_name = "config.json"

    @classmethod
    def from_pretrained(cls, location: str | Path, **options: Any) -> "VisualProjector":
        """From a folder. Raises MuseError where it is missing, damaged, or of another network."""
        folder = require_folder_or_hub("projector", Path(location))
        return load_whole(super().from_pretrained, "projector", folder, **options)

    @register_to_config
    def __init__(self, width: int, language_width: int, unshuffle: int = 2) -> None:
        """Random weights.

        Args:
            width: Channels of an image's token.
            language_width: Channels of a word's embedding.
            unshuffle: s.
        """
        super().__init__()
        joined = width * unshuffle**2
        self.layers = nn.Sequential(
            nn.LayerNorm(joined),
            nn.Linear(joined, language_width),
            nn.GELU(),
            nn.Linear(language_width, language_width),
        )

    def image_tokens(self, grid: tuple[int, int]) -> int:
        """How many an image of this grid becomes. Raises MuseError for one that does not divide."""
        s = self.config["unshuffle"]
        if grid[0] % s or grid[1] % s:
            raise MuseError(
                f"A grid of {grid[0]} x {grid[1]} tokens does not divide into {s} x {s}: give "
                "images of another size."
            )
        return grid[0] * grid[1] // s**2

    def forward(
        self, tokens: Tokens, grid: tuple[int, int]
    ) -> Float[Tensor, "batch image_tokens language_width"]:
        """Tokens in raster order on ``grid`` -> (batch, image tokens, language width).

        Raises:
            MuseError: They are of another width, or the grid does not divide.
        """
        if tokens.shape[-1] != self.config["width"]:
            raise MuseError(
                f"These tokens are {tokens.shape[-1]} wide, and the projector reads "
                f"{self.config['width']}: give the tokens it was trained on."
            )
        self.image_tokens(grid)
        s = self.config["unshuffle"]
        joined = rearrange(tokens, "b (h p w q) c -> b (h w) (p q c)", h=grid[0] // s, p=s, q=s)
        return self.layers(joined)


def scale_to(projector: VisualProjector, words: torch.Tensor) -> None:
    """Let a new projector's outputs begin at the size that words' embeddings have.

    Args:
        projector: With random weights.
        words: The language model's embeddings, (words, width).
    """
    last = projector.layers[-1]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        spread = last.weight.norm(dim=1).mean()
        last.weight.mul_(words.std() * last.in_features**0.5 / spread / 2)
        last.bias.zero_()
