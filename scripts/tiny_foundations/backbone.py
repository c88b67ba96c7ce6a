"""The backbone: taught by captions alone, and so with headroom, as InternViT has.

Two losses: the contrast with captions as the frozen text tower reads them, and the bag of words of
a caption that names all there is, as a classification over words (SuperClass, Huang et al. 2024,
arXiv 2411.03313). No label is looked at, and masks only say which objects are hidden, so that no
caption names them. Stopped early: that is what leaves MUSE something to add (reports/LOG.md)."""

from collections import Counter

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from muse_core.data.batch import Batch
from muse_core.data.scenes import THOROUGH, Scenes, captions_of, visible_pixels
from muse_core.foundations.text_tower import TextTower
from scripts.tiny_foundations.fitting import fit
from scripts.tiny_foundations.image_text import (
    ImageTextPair,
    multi_positive_contrast,
    new_image_tower,
)

BAG_WEIGHT = 2.0
COUNTED = 4096
"""Captions that the words and their frequencies are taken from."""


class BagOfWords(nn.Module):
    """Cross-entropy of the words of a caption, each weighted by how rare it is."""

    def __init__(self, width: int, captions: list[str]) -> None:
        super().__init__()
        found = Counter(word for text in captions for word in set(text.split()))
        self.places = {word: place for place, word in enumerate(sorted(found))}
        counts = torch.tensor([found[word] for word in self.places])
        self.rarity = (len(captions) / counts).log()
        self.head = nn.Linear(width, len(self.places))

    def forward(self, pooled: Tensor, captions: tuple[str, ...]) -> Tensor:
        target = torch.zeros(len(captions), len(self.places))
        for row, text in enumerate(captions):
            target[row, [self.places[word] for word in text.split() if word in self.places]] = 1
        target = target * self.rarity
        return F.cross_entropy(self.head(pooled), target / target.sum(1, keepdim=True))


def train_backbone(
    source: Scenes, *, steps: int, batch_size: int, seed: int, text_tower: TextTower
) -> tuple[ImageTextPair, list[float]]:
    """Backbone and projection, on captions alone; ``text_tower`` stays as it is."""
    torch.manual_seed(seed)
    backbone, projection = new_image_tower(text_tower.width)
    text_tower.eval().requires_grad_(False)
    bag = BagOfWords(backbone.width, list(source.described().first(COUNTED).captions))
    scale = nn.Parameter(torch.tensor(2.6592))

    def loss_of(batch: Batch) -> Tensor:
        assert batch.instance_masks is not None
        pooled = backbone(batch.images).mean(1)
        images = F.normalize(projection(pooled), dim=-1)
        texts = F.normalize(text_tower(batch.captions), dim=-1)
        scenes = source.parameters([int(name.rsplit("#", 1)[1]) for name in batch.ids])
        # Which objects a thorough caption leaves out, because they are hidden.
        named = captions_of(scenes, visible_pixels(batch.instance_masks), THOROUGH)
        contrast = multi_positive_contrast(images, texts, batch.captions, scale)
        return contrast + BAG_WEIGHT * bag(pooled, named)

    weights = [*backbone.parameters(), *projection.parameters(), *bag.parameters(), scale]
    losses = fit(
        weights,
        loss_of,
        source,
        steps=steps,
        batch_size=batch_size,
        learning_rate=2e-3,
        seed=seed,
        name="backbone",
    )
    return ImageTextPair(backbone, projection, text_tower), losses
