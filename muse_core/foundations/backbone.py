"""The visual backbone: InternViT, InternVL3's vision transformer (transformers' `InternVLVisionModel`)."""

import copy
from pathlib import Path
from typing import Any

from torch import nn
from transformers import InternVLVisionConfig, InternVLVisionModel

from muse_core.foundations.captured_attention import CAPTURING, captured_attention
from muse_core.foundations.loading import assert_complete, require_folder_or_hub
from muse_core.foundations.normalisation import IMAGENET, Normalise
from muse_core.shapes import AttentionMaps, Images, Tokens


class Backbone(nn.Module):
    """InternViT without its class token: images in [0, 1] -> patch tokens of the last layer, in raster order."""

    def __init__(self, config: dict[str, Any]) -> None:
        """``config``: the dictionary of an `InternVLVisionConfig` (as `describe` returns it); weights are random."""
        super().__init__()
        self.normalise = Normalise(*IMAGENET)
        vision_config = InternVLVisionConfig(**copy.deepcopy(config))
        self.network = InternVLVisionModel._from_config(vision_config, attn_implementation=CAPTURING)

    @classmethod
    def from_pretrained(cls, location: str | Path) -> "Backbone":
        """From a folder or hub id. Raises MuseError where the checkpoint leaves weights unset."""
        location = require_folder_or_hub("backbone", location)
        network, info = InternVLVisionModel.from_pretrained(
            location, output_loading_info=True, attn_implementation=CAPTURING
        )
        assert_complete("backbone", location, info)
        backbone = cls(network.config.to_dict())
        backbone.network.load_state_dict(network.state_dict())
        return backbone

    def describe(self) -> dict[str, Any]:
        """The configuration that rebuilds this network."""
        keys = [
            "hidden_size",
            "num_hidden_layers",
            "num_attention_heads",
            "intermediate_size",
            "image_size",
            "patch_size",
            "attention_bias",
            "use_qk_norm",
            "layer_scale_init_value",
            "layer_norm_eps",
            "norm_type",
            "use_mean_pooling",
            "hidden_act",
        ]
        return {key: value for key, value in self.network.config.to_dict().items() if key in keys}

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
        layers = [layer.attention for layer in self.network.encoder.layer]
        with captured_attention(self.network, layers) as found:
            self.network(self.normalise(images))
        return tuple(each.without_prefix(1).probabilities() for each in found)

    def forward(self, images: Images) -> Tokens:
        return self.all_tokens(images)[:, 1:]
