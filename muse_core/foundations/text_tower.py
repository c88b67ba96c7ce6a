"""The text tower: CLIP's text transformer with its projection (transformers), and its tokenizer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoTokenizer,
    BatchEncoding,
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    PreTrainedTokenizerBase,
)

from muse_core.errors import MuseError
from muse_core.foundations.loading import load_complete, reading
from muse_core.foundations.parts import TEXT_TOWER, open_part, read_config
from muse_core.shapes import Embeddings

WORDS = ("tokenizer.json", "vocab.json")


class TextTower(nn.Module):
    """Captions -> embeddings (batch, width) in the image-text space, not normalised.

    ``truncated`` counts the captions this process has cut at the end of the context, each time it
    reads one."""

    truncated: int = 0

    def __init__(
        self, network: CLIPTextModelWithProjection, tokenizer: PreTrainedTokenizerBase
    ) -> None:
        super().__init__()
        self.network, self.tokenizer = network, tokenizer

    @classmethod
    def from_pretrained(cls, location: str | Path) -> "TextTower":
        """From a folder or hub id that holds the text tower, or a whole CLIP, and its tokenizer.

        Raises MuseError where one of them is missing or damaged.
        """
        folder = open_part(TEXT_TOWER, location)
        network, _ = load_complete(
            CLIPTextModelWithProjection.from_pretrained,
            TEXT_TOWER.name,
            str(folder),
            config=text_config(folder),
            dtype=torch.float32,
        )
        return cls(network, _tokenizer(folder))

    def save_pretrained(self, folder: str | Path) -> None:
        self.network.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    @property
    def width(self) -> int:
        config: Any = self.network.config
        return config.projection_dim

    @property
    def context(self) -> int:
        """The most tokens it reads."""
        return self.network.config.max_position_embeddings

    def tokens(self, captions: Sequence[str]) -> BatchEncoding:
        """Captions as ids with a mask, on the network's device; too long ones are cut."""
        cut: dict[str, Any] = dict(padding=True, truncation=True, return_tensors="pt")
        given = self.tokenizer(list(captions), max_length=self.context, **cut)
        return given.to(self.network.device)

    def forward(self, captions: Sequence[str]) -> Embeddings:
        tokens = self.tokens(captions)
        self.truncated += sum(bool(text.overflowing) for text in tokens.encodings or ())
        return self.network(tokens.input_ids, tokens.attention_mask).text_embeds


def text_config(location: str | Path) -> CLIPTextConfig:
    """Of a text tower or of a whole CLIP, whose width of the common space stands beside its text
    transformer's numbers.
    """
    config = read_config(TEXT_TOWER, open_part(TEXT_TOWER, location))
    with reading(TEXT_TOWER.name, str(location)):
        if config["model_type"] == "clip":
            return CLIPTextConfig(
                **config["text_config"] | {"projection_dim": config["projection_dim"]}
            )
        return CLIPTextConfig(**config)


def _tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """transformers makes an empty one where there are no words, so they are looked for first."""
    if not any((folder / name).is_file() for name in WORDS):
        raise MuseError(
            f"The text tower {folder} has no tokenizer: put tokenizer.json, or vocab.json and "
            "merges.txt, beside its weights."
        )
    with reading("tokenizer of the text tower", str(folder)):
        return AutoTokenizer.from_pretrained(folder)


def text_embeddings(tower: TextTower, captions: Sequence[str]) -> Embeddings:
    """The frozen tower's embeddings (captions, width), without gradient and not normalised."""
    with torch.no_grad():
        return tower(captions)
