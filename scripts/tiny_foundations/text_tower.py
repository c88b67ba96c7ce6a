"""The text tower: trained with an image tower of its own, which is then dropped.

As CLIP's text tower knows more than InternViT, so this one knows shapes better than `backbone`: its
image tower is told the class under each patch and the outline inside it, which makes a network this
small see shapes in minutes. So the anchor has something to teach."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from muse_core.data.batch import Batch, Source
from scripts.tiny_foundations.fitting import fit
from scripts.tiny_foundations.image_text import (
    ImageTextPair,
    multi_positive_contrast,
    new_pair,
    patch_classes,
)


def train_text_tower(
    source: Source, *, steps: int, batch_size: int, seed: int
) -> tuple[ImageTextPair, list[float]]:
    """Both towers, on captions and class masks."""
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
        name="text tower",
    )
    return pair, losses
