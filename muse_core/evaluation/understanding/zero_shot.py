"""Classification without training: the class whose prompts are nearest in the text space."""

from itertools import chain

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from muse_core.data.batch import Source
from muse_core.foundations.text_tower import TextTower, text_embeddings
from muse_core.shapes import Embeddings, Float, Int, Labels

PROMPTS_AT_ONCE = 256


def class_embeddings(tower: TextTower, source: Source) -> Embeddings:
    """Unit embedding of each class, (classes, width): the mean of its prompts' unit embeddings, as
    CLIP does.
    """
    prompts = source.class_prompts()
    each = list(chain.from_iterable(prompts))
    parts = [
        each[first : first + PROMPTS_AT_ONCE] for first in range(0, len(each), PROMPTS_AT_ONCE)
    ]
    units = F.normalize(torch.cat([text_embeddings(tower, part) for part in parts]), dim=-1)
    return F.normalize(
        rearrange(units, "(c p) width -> c p width", c=len(prompts)).mean(dim=1), dim=-1
    )


def predicted_classes(images: Embeddings, classes: Float[Tensor, "classes embedding"]) -> Labels:
    """The nearest class of each image, by cosine."""
    return (F.normalize(images, dim=-1) @ classes.T).argmax(dim=-1)


def accuracy(predicted: Labels, labels: Labels) -> float:
    """Share of labelled images (label >= 0; class 0 counts) that were predicted right; NaN where
    none is labelled.
    """
    labelled = labels >= 0
    return (predicted == labels)[labelled].float().mean().item() if labelled.any() else torch.nan


def ranked_classes(
    images: Embeddings, classes: Float[Tensor, "classes embedding"]
) -> Int[Tensor, "batch ranks"]:
    """All classes of each image, the nearest first."""
    return (F.normalize(images, dim=-1) @ classes.T).argsort(dim=-1, descending=True)


def accuracy_by_class(predicted: Labels, labels: Labels, num_classes: int) -> list[float | None]:
    """Accuracy of each class over its own images; None for a class without images."""
    return [
        accuracy(predicted[labels == one], labels[labels == one]) if (labels == one).any() else None
        for one in range(num_classes)
    ]
