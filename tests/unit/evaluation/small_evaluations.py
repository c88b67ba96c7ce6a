"""What the evaluation's tests share: photographs that ship with scikit-learn, a small teacher, a
protocol on 32 px scenes, and sources that lack something."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import cache

import torch
import torch.nn.functional as F
from sklearn.datasets import load_sample_images
from torch import Tensor

from muse_core.data.batch import Batch
from muse_core.data.scenes import Scenes
from muse_core.data.shape_templates import SHAPES
from muse_core.evaluation.feature_extractors import ChanceExtractor, TokenizerExtractor
from muse_core.evaluation.protocol import Protocol
from muse_core.evaluation.reconstruction.metric_networks import MetricNetworks
from muse_core.foundations.topology_teacher import DinoV3Teacher
from tests.integration.micro import TEACHER
from tests.unit.models.small_models import TINY, small_tokenizer

GRID = (4, 4)
"""Tokens of a 32 px image."""


class Changed(Scenes):
    """Scenes at 32 px of which ``change`` makes something else; ``asked`` counts the batches."""

    def __init__(
        self,
        change: Callable[[Batch], Batch] = lambda batch: batch,
        split: str = "test",
        length: int = 2000,
    ):
        super().__init__(split, 32)
        self.change, self.length, self.asked = change, length, 0

    def __getitems__(self, indices: list[int]) -> Batch:
        self.asked += 1
        return self.change(super().__getitems__(indices))


def without(*names: str) -> Callable[[Batch], Batch]:
    """A batch that lacks these; labels become -1."""
    return lambda batch: replace(
        batch,
        **{name: torch.full_like(batch.labels, -1) if name == "labels" else None for name in names},
    )


def photographs(side: int = 64, count: int = 12) -> Tensor:
    """Crops (count, 3, side, side) in [0, 1] of the two photographs scikit-learn ships, spread over
    both.
    """
    crops = []
    for photo in load_sample_images().images:
        image = torch.from_numpy(photo.copy()).permute(2, 0, 1).float() / 255
        places = torch.linspace(0, image.shape[2] - side, -(-count // 2)).long()
        crops += [image[:, 100 : 100 + side, x : x + side] for x in places.tolist()]
    return torch.stack(crops[:count])


def blurred(images: Tensor) -> Tensor:
    """Images after a quarter of their pixels: what a poor tokenizer leaves of them."""
    return F.interpolate(
        F.avg_pool2d(images, 2), images.shape[-2:], mode="bilinear", align_corners=False
    )


@cache
def _teacher(layers: tuple[int, ...]) -> DinoV3Teacher:
    torch.manual_seed(0)
    return DinoV3Teacher.from_config(TEACHER, layers).requires_grad_(False)


def small_teacher(layers: tuple[int, ...] = (0, 1, 1, 2, 2, 3)) -> DinoV3Teacher:
    """Random weights from a seed; one layer a block of the small tokenizer."""
    return deepcopy(_teacher(layers))


def small_networks() -> MetricNetworks:
    return MetricNetworks(small_teacher(), None, None, "t")


def some_classes() -> Tensor:
    """Random unit vectors for the text of each class."""
    draw = torch.randn(
        len(SHAPES), TINY.embedding_width, generator=torch.Generator().manual_seed(1)
    )
    return F.normalize(draw, dim=-1)


def small_protocol(**changes) -> Protocol:
    """Few scenes, so that a row takes seconds."""
    given = dict(
        train=Changed(split="train"),
        test=Changed(),
        networks=small_networks(),
        classes=some_classes(),
    )
    sizes = dict(n_train=60, n_test=40, n_dense=20, n_attention=8, segmentation_steps=5)
    return Protocol(**(given | sizes | changes))


_tokenizer = cache(small_tokenizer)


def small_extractor(name: str = "small") -> TokenizerExtractor:
    """A tokenizer of its own, always with the same weights."""
    return TokenizerExtractor(name, deepcopy(_tokenizer()).eval(), "random")


def chance_on(protocol: Protocol) -> ChanceExtractor:
    mean_image = protocol.train.first(50).images.mean(0, keepdim=True)
    return ChanceExtractor(mean_image, TINY.embedding_width, GRID)
