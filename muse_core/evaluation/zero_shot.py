"""Classification without training: the class whose prompt is nearest in the text space."""

import torch
import torch.nn.functional as F
from torch import Tensor

from muse_core.data.batches import Source
from muse_core.foundations.text_tower import TextTower, text_embeddings
from muse_core.shapes import Embeddings, Float, Labels


def class_embeddings(tower: TextTower, source: Source) -> Embeddings:
    """Unit embedding of each class's prompt, (classes, width)."""
    return F.normalize(text_embeddings(tower, source.class_prompts()), dim=-1)


def predicted_classes(images: Embeddings, classes: Float[Tensor, "classes embedding"]) -> Labels:
    """The nearest class of each image, by cosine."""
    return (F.normalize(images, dim=-1) @ classes.T).argmax(dim=-1)


def accuracy(predicted: Labels, labels: Labels) -> float:
    """Share of labelled images (label >= 0; class 0 counts) that were predicted right; NaN where none is labelled."""
    labelled = labels >= 0
    return (predicted == labels)[labelled].float().mean().item() if labelled.any() else torch.nan
