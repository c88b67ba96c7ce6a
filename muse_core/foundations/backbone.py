"""The visual backbone: InternViT, InternVL3's vision transformer (transformers'
`InternVLVisionModel`).
"""

import copy
from pathlib import Path
from typing import Any

from torch import nn
from transformers import InternVLVisionConfig, InternVLVisionModel

from muse_core.foundations.captured_attention import captured_attention
from muse_core.foundations.image_normalisation import IMAGENET, Normalise
from muse_core.foundations.internvl_layouts import CONFIG_KEYS, vision_tower
from muse_core.foundations.loading import fill, reading
from muse_core.foundations.parts import BACKBONE, open_part
from muse_core.shapes import AttentionMaps, Images, Tokens


class Backbone(nn.Module):
    """InternViT without its class token: images in [0, 1] -> patch tokens of the last layer, in
    raster order.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        """``config``: the dictionary of an `InternVLVisionConfig` (as `describe` returns it);
        weights are random.
        """
        super().__init__()
        self.normalise = Normalise(*IMAGENET)
        vision_config = InternVLVisionConfig(**copy.deepcopy(config))
        self.network = InternVLVisionModel._from_config(vision_config, attn_implementation="sdpa")

    @classmethod
    def from_pretrained(cls, location: str | Path) -> "Backbone":
        """From a folder or hub id, in any layout of `internvl_layouts`. Raises MuseError where a
        weight is missing, too many or misshapen."""
        folder = open_part(BACKBONE, location)
        config, weights = vision_tower(folder)
        remedy = "give a folder whose config.json and weights are of one InternVL3"
        with reading(BACKBONE.name, str(folder), remedy):
            backbone = cls(config)
        fill(BACKBONE.name, str(folder), backbone.network, weights)
        return backbone

    def describe(self) -> dict[str, Any]:
        """The configuration that rebuilds this network."""
        return {
            key: value for key, value in self.network.config.to_dict().items() if key in CONFIG_KEYS
        }

    @property
    def width(self) -> int:
        return self.network.config.hidden_size

    @property
    def patch_size(self) -> int:
        size = self.network.config.patch_size
        return size if isinstance(size, int) else size[0]

    def all_tokens(self, images: Images) -> Tokens:
        """The class token, then the patch tokens."""
        return self.network(self.normalise(images)).last_hidden_state

    def attention(self, images: Images) -> tuple[AttentionMaps, ...]:
        """Patch-to-patch probabilities of every layer, on the grid of patches."""
        encoder: Any = self.network.encoder
        layers = [layer.attention for layer in encoder.layer]
        with captured_attention(self.network, layers) as found:
            self.network(self.normalise(images))
        return tuple(each.without_prefix(1).probabilities() for each in found)

    def forward(self, images: Images) -> Tokens:
        return self.all_tokens(images)[:, 1:]
