"""Backbone and text tower, trained together: contrastive on captions, dense on patch classes.

The dense terms (the classes under each patch, and the outline inside it) are what makes a network
this small see shapes; contrast alone takes many times longer."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from safetensors.torch import load_file, save_file
from timm.layers import build_sincos2d_pos_embed
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, PreTrainedTokenizerFast

from muse_core.data.batch import Batch, Source
from muse_core.foundations.backbone import Backbone
from muse_core.foundations.image_tower import PROJECTION_FILE
from muse_core.foundations.text_tower import TextTower
from scripts.tiny_foundations.fitting import fit

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

    def save_pretrained(self, folder: Path) -> None:
        """``backbone`` and ``text_tower`` below ``folder``, the projection beside them."""
        self.backbone.network.save_pretrained(folder / "backbone")
        self.text_tower.save_pretrained(folder / "text_tower")
        save_file(self.projection.state_dict(), folder / PROJECTION_FILE)

    @classmethod
    def from_pretrained(cls, folder: Path) -> "ImageTextPair":
        """The inverse of `save_pretrained`."""
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
    backbone = Backbone(BACKBONE)
    give_positions(backbone)
    projection = nn.Linear(backbone.width, TEXT_WIDTH, bias=False)
    return ImageTextPair(
        backbone, projection, TextTower(CLIPTextModelWithProjection(config), tokenizer)
    )


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


def train_image_text(
    source: Source, *, steps: int, batch_size: int, seed: int
) -> tuple[ImageTextPair, list[float]]:
    """Train backbone, projection and text tower on captions and class masks."""
    torch.manual_seed(seed)
    pair = new_pair(list(source.first(4096).captions))
    num_classes = len(source.class_names) + 1
    dense = nn.Linear(pair.backbone.width, num_classes)
    outline = nn.Linear(pair.backbone.width, pair.backbone.patch_size**2)
    scale = nn.Parameter(torch.tensor(2.6592))
    modules = nn.ModuleList([pair.backbone, pair.projection, pair.text_tower, dense, outline])

    def loss_of(batch: Batch) -> Tensor:
        assert batch.class_masks is not None
        tokens = pair.backbone(batch.images)
        images = F.normalize(pair.projection(tokens.mean(1)), dim=-1)
        texts = F.normalize(pair.text_tower(batch.captions), dim=-1)
        grid = batch.images.shape[-1] // pair.backbone.patch_size
        shares = patch_classes(batch.class_masks, grid, num_classes)
        objects = 1 - shares[..., 0]
        weight = 0.2 + objects
        by_patch = F.cross_entropy(
            rearrange(dense(tokens), "b n c -> b c n"), shares.transpose(1, 2), reduction="none"
        )
        foreground = rearrange(
            (batch.class_masks > 0).float(), "b (h p) (w q) -> b (h w) (p q)", h=grid, w=grid
        )
        return (
            multi_positive_contrast(images, texts, batch.captions, scale)
            + 2 * (by_patch * weight).sum() / weight.sum()
            + F.binary_cross_entropy_with_logits(outline(tokens), foreground)
        )

    losses = fit(
        [*modules.parameters(), scale],
        loss_of,
        source,
        steps=steps,
        batch_size=batch_size,
        learning_rate=2e-3,
        seed=seed,
        name="backbone and text tower",
    )
    return pair, losses
