"""What `text_tower` and `backbone` share: sizes, the contrast, and a pair of both towers."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from einops import reduce
from safetensors.torch import load_file, save_file
from timm.layers import build_sincos2d_pos_embed
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, PreTrainedTokenizerFast

from muse_core.foundations.backbone import Backbone
from muse_core.foundations.image_tower import PROJECTION_FILE
from muse_core.foundations.text_tower import TextTower

BACKBONE = dict(
    hidden_size=96,
    num_hidden_layers=6,
    num_attention_heads=4,
    intermediate_size=256,
    image_size=[64, 64],
    patch_size=[8, 8],
    attention_bias=True,
    layer_scale_init_value=1.0,
    initializer_range=0.08,
)
TEXT_WIDTH = 64
CONTEXT = 32


@dataclass(frozen=True)
class ImageTextPair:
    """A backbone, its projection into the joint space, and the text tower of that space."""

    backbone: Backbone
    projection: nn.Linear
    text_tower: TextTower

    def embed(self, images: Tensor) -> Tensor:
        """Unit image embeddings (batch, width): projected mean of the patch tokens."""
        return F.normalize(self.projection(self.backbone(images).mean(1)), dim=-1)

    def save_images(self, folder: Path) -> None:
        """``backbone`` below ``folder``, the projection beside it."""
        self.backbone.network.save_pretrained(folder / "backbone")
        save_file(self.projection.state_dict(), folder / PROJECTION_FILE)

    def save_texts(self, folder: Path) -> None:
        """``text_tower`` below ``folder``."""
        self.text_tower.save_pretrained(folder / "text_tower")

    @classmethod
    def from_pretrained(cls, folder: Path) -> "ImageTextPair":
        """Both, from below one folder."""
        backbone, tower = (
            Backbone.from_pretrained(folder / "backbone"),
            TextTower.from_pretrained(folder / "text_tower"),
        )
        projection = nn.Linear(backbone.width, tower.width, bias=False)
        projection.load_state_dict(load_file(folder / PROJECTION_FILE))
        return cls(backbone.eval(), projection.eval(), tower.eval())


def train_tokenizer(captions: list[str]) -> PreTrainedTokenizerFast:
    """Byte-level BPE: words of the captions become single tokens, any other text falls back to its
    bytes.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    # CLIP reads an end id of 2 as "pool at the largest id", so it is 3.
    special = ["<pad>", "<start>", "<unk>", "<end>"]
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(captions, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", 1), ("<end>", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<start>",
        eos_token="<end>",
        model_max_length=CONTEXT,
    )


def new_pair(captions: list[str]) -> ImageTextPair:
    """Random weights; the tokenizer learns its words from ``captions``."""
    tokenizer = train_tokenizer(captions)
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=TEXT_WIDTH,
        intermediate_size=2 * TEXT_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        projection_dim=TEXT_WIDTH,
        max_position_embeddings=CONTEXT,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=3,
    )
    backbone, projection = new_image_tower()
    return ImageTextPair(
        backbone, projection, TextTower(CLIPTextModelWithProjection(config), tokenizer)
    )


def new_image_tower(text_width: int = TEXT_WIDTH) -> tuple[Backbone, nn.Linear]:
    """A backbone and its projection into the text space, with random weights."""
    backbone = Backbone(BACKBONE)
    give_positions(backbone)
    return backbone, nn.Linear(backbone.width, text_width, bias=False)


def give_positions(backbone: Backbone) -> None:
    """Start the learned position table from 2-D sines: outlines are about where patches lie
    relative to each other.
    """
    table: Any = backbone.network.embeddings.position_embeddings
    side = math.isqrt(table.shape[1] - 1)
    sines = build_sincos2d_pos_embed([side, side], dim=backbone.width)
    with torch.no_grad():
        table[0, 1:] = sines


def patch_classes(masks: Tensor, grid: int, num_classes: int) -> Tensor:
    """Pixel classes -> share of each class under each patch, (batch, grid * grid, num_classes)."""
    shares = F.one_hot(masks, num_classes).float()
    return reduce(shares, "b (h p) (w q) c -> b (h w) c", "mean", h=grid, w=grid)


def multi_positive_contrast(
    images: Tensor, texts: Tensor, captions: tuple[str, ...], scale: Tensor
) -> Tensor:
    """Symmetric InfoNCE in which equal captions count as the same text."""
    index = {caption: i for i, caption in enumerate(dict.fromkeys(captions))}
    ids = torch.tensor([index[caption] for caption in captions])
    target = (ids[:, None] == ids[None]).float()
    target = target / target.sum(1, keepdim=True)
    logits = scale.exp().clamp(max=100) * images @ texts.T
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
