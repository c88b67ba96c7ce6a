"""A small detector of drawn shapes: the judge of whether an image of scenes shows what its prompt
says.

One prediction a cell of 8 x 8 pixels (YOLO without anchors): is an object's centre here, where
exactly, which shape, which colour. Cells next to a centre may predict it too;
`SceneDetector.detect` keeps the surest of those that agree."""

from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from muse_core.data.scenes import COLOURS
from muse_core.data.shape_templates import SHAPES
from muse_core.foundations.loading import load_whole, require_folder_or_hub
from muse_core.shapes import Float, Images

CELL = 8
"""Pixels along one side of a cell."""

NEAREST_CENTRES = 0.15
"""Two centres nearer than this share of the image are one object."""


@dataclass(frozen=True)
class Detected:
    """One object: ``x`` and ``y`` of its centre in [0, 1] (right and down), ``score`` in [0, 1]."""

    shape: str
    colour: str
    x: float
    y: float
    score: float


@dataclass(frozen=True)
class Cells:
    """What the network says of each cell: logits, and the ``centre`` (x, y) of its object as shares
    of the image.
    """

    objectness: Float[Tensor, "batch rows columns"]
    shape: Float[Tensor, "batch rows columns shapes"]
    colour: Float[Tensor, "batch rows columns colours"]
    centre: Float[Tensor, "batch rows columns 2"]


class SceneDetector(ModelMixin, ConfigMixin):
    """Images in [0, 1], sides multiples of `CELL` -> `Cells`. Its configuration names the shapes
    and colours it knows.
    """

    @register_to_config
    def __init__(
        self,
        widths: tuple[int, int, int] | list[int] = (32, 64, 96),
        shapes: tuple[str, ...] | list[str] = SHAPES,
        colours: tuple[str, ...] | list[str] = tuple(COLOURS),
    ) -> None:
        super().__init__()
        first, second, third = widths
        self.trunk = nn.Sequential(
            *_halving(3, first),
            BasicBlock(first, first),
            *_halving(first, second),
            BasicBlock(second, second),
            *_halving(second, third),
            *(BasicBlock(third, third) for _ in range(3)),
        )
        self.parts = [1, len(shapes), len(colours), 2]
        self.head = nn.Conv2d(third, sum(self.parts), 1)

    def forward(self, images: Images) -> Cells:
        features = self.head(self.trunk(images * 2 - 1)).permute(0, 2, 3, 1)
        objectness, shape, colour, offset = features.split(self.parts, -1)
        return Cells(objectness[..., 0], shape, colour, _centres(offset))

    @torch.no_grad()
    def features(self, images: Images) -> Float[Tensor, "batch cells width"]:
        """What the trunk sees, a vector a cell."""
        return self.trunk(images * 2 - 1).flatten(2).transpose(1, 2)

    @torch.no_grad()
    def detect(self, images: Images, threshold: float = 0.5) -> list[list[Detected]]:
        """The objects of each image, the surest first."""
        cells = self(images)
        return [self._objects(cells, row, threshold) for row in range(len(images))]

    def _objects(self, cells: Cells, row: int, threshold: float) -> list[Detected]:
        scores = cells.objectness[row].sigmoid().flatten()
        centres = cells.centre[row].flatten(0, 1)
        shapes, colours = self.config["shapes"], self.config["colours"]
        shape, colour = (logits[row].argmax(-1).flatten() for logits in (cells.shape, cells.colour))
        found = _kept(scores, centres, threshold)
        return [
            Detected(shapes[shape[k]], colours[colour[k]], x, y, scores[k].item())
            for k, (x, y) in zip(found, centres[found].tolist(), strict=True)
        ]


def _halving(channels: int, width: int) -> list[nn.Module]:
    """Half the sides, ``width`` channels."""
    return [
        nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    ]


def _centres(
    offset: Float[Tensor, "batch rows columns 2"],
) -> Float[Tensor, "batch rows columns 2"]:
    """Logits -> centres as shares of the image; a cell reaches half a cell beyond its borders."""
    rows, columns = offset.shape[1:3]
    corners = torch.meshgrid(torch.arange(columns), torch.arange(rows), indexing="xy")
    reach = 2 * offset.sigmoid() - 0.5
    return (torch.stack(corners, -1).to(offset) + reach) / offset.new_tensor([columns, rows])


def _kept(
    scores: Float[Tensor, " cells"], centres: Float[Tensor, "cells 2"], threshold: float
) -> list[int]:
    """Cells over the threshold, the surest first, each further than `NEAREST_CENTRES` from those
    before it.
    """
    kept: list[int] = []
    for k in scores.argsort(descending=True).tolist():
        if scores[k] < threshold:
            break
        if all((centres[k] - centres[other]).norm() >= NEAREST_CENTRES for other in kept):
            kept.append(k)
    return kept


def load_scene_detector(location: str | Path) -> SceneDetector:
    """From a folder, ready to judge. Raises MuseError where the folder is missing or leaves weights
    unset.
    """
    location = require_folder_or_hub("scene detector", location)
    detector = load_whole(SceneDetector.from_pretrained, "scene detector", location)
    return detector.eval().requires_grad_(False)
