"""The text tower: CLIP's text transformer with its projection (transformers), and its tokenizer."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from transformers import AutoTokenizer, CLIPTextModelWithProjection, PreTrainedTokenizerBase

from muse_core.foundations.loading import assert_complete, require_folder_or_hub
from muse_core.shapes import Embeddings


class TextTower(nn.Module):
    """Captions -> embeddings (batch, width) in the image-text space, not normalised."""

    def __init__(self, network: CLIPTextModelWithProjection, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__()
        self.network, self.tokenizer = network, tokenizer

    @classmethod
    def from_pretrained(cls, location: str | Path) -> "TextTower":
        """From a folder or hub id that holds the model and its tokenizer."""
        location = require_folder_or_hub("text tower", location)
        network, info = CLIPTextModelWithProjection.from_pretrained(location, output_loading_info=True)
        assert_complete("text tower", location, info)
        return cls(network, AutoTokenizer.from_pretrained(location))

    def save_pretrained(self, folder: str | Path) -> None:
        self.network.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    @property
    def width(self) -> int:
        return self.network.config.projection_dim

    def forward(self, captions: Sequence[str]) -> Embeddings:
        tokens = self.tokenizer(
            list(captions),
            padding=True,
            truncation=True,
            max_length=self.network.config.max_position_embeddings,
            return_tensors="pt",
        )
        device = next(self.network.parameters()).device
        inputs = {name: tokens[name].to(device) for name in ("input_ids", "attention_mask")}
        return self.network(**inputs).text_embeds


def text_embeddings(tower: TextTower, captions: Sequence[str]) -> Embeddings:
    """The frozen tower's embeddings, without gradient."""
    with torch.no_grad():
        return tower(captions)
