"""The detector of drawn shapes, trained on what the scenes' own parameters say."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from muse_core.data.batch import Batch
from muse_core.data.scenes import MIN_VISIBLE_PIXELS, OBJECTS, SceneParameters, Scenes
from muse_core.foundations.scene_detector import CELL, Cells, SceneDetector
from muse_core.shapes import Bool, Float, Images, Int, Masks, Scalar
from scripts.tiny_foundations.fitting import fit

REACH = 0.75
"""Cells whose own centre lies this near an object's (in cells, along each axis) are to find it."""


@dataclass(frozen=True)
class CellTargets:
    """What each cell is to say; shape, colour and centre count only where ``positive``."""

    positive: Bool[Tensor, "batch rows columns"]
    shape: Int[Tensor, "batch rows columns"]
    colour: Int[Tensor, "batch rows columns"]
    centre: Float[Tensor, "batch rows columns 2"]


def cell_targets(scenes: SceneParameters, instance_masks: Masks) -> CellTargets:
    """Each cell's nearest object, of those with `MIN_VISIBLE_PIXELS` or more visible pixels."""
    size = instance_masks.shape[-1]
    visible = (
        torch.stack([(instance_masks == k + 1).sum((1, 2)) for k in range(OBJECTS)], 1)
        >= MIN_VISIBLE_PIXELS
    )
    axis = (torch.arange(size // CELL) + 0.5) * CELL
    middles = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)
    away = (scenes.centre[:, None, None] - middles[:, :, None]).abs().amax(-1) / CELL
    distance, nearest = away.masked_fill(~visible[:, None, None], torch.inf).min(-1)
    row = torch.arange(len(nearest))[:, None, None]
    centre = scenes.centre[row, nearest] / size
    return CellTargets(
        distance <= REACH, scenes.shape[row, nearest], scenes.colour[row, nearest], centre
    )


def detector_loss(cells: Cells, targets: CellTargets) -> Scalar:
    """Cross-entropies of objectness, shape and colour, and the centre's distance in cells."""
    on = targets.positive
    objectness = F.binary_cross_entropy_with_logits(cells.objectness, on.float())
    shape = F.cross_entropy(cells.shape[on], targets.shape[on])
    colour = F.cross_entropy(cells.colour[on], targets.colour[on])
    centre = F.l1_loss(cells.centre[on], targets.centre[on]) * on.shape[-1]
    return 10 * objectness + shape + colour + 2 * centre


def softened(images: Images) -> Images:
    """Images blurred and noisy at random strengths, as decoders draw them: the judge is to look at
    shapes, not at grain.
    """
    strength = torch.rand(2, len(images), 1, 1, 1, device=images.device)
    blurred = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return (
        torch.lerp(images, blurred, strength[0]) + 0.04 * strength[1] * torch.randn_like(images)
    ).clamp(0, 1)


def train_scene_detector(
    source: Scenes, *, steps: int, batch_size: int, seed: int
) -> tuple[SceneDetector, list[float]]:
    """Train on scenes, whose parameters are looked up by the numbers that their names end in."""
    torch.manual_seed(seed)
    detector = SceneDetector()

    def loss_of(batch: Batch) -> Scalar:
        assert batch.instance_masks is not None
        scenes = source.parameters([int(name.rsplit("#", 1)[1]) for name in batch.ids])
        return detector_loss(
            detector(softened(batch.images)), cell_targets(scenes, batch.instance_masks)
        )

    losses = fit(
        detector.parameters(),
        loss_of,
        source,
        steps=steps,
        batch_size=batch_size,
        learning_rate=3e-3,
        seed=seed,
        name="scene detector",
    )
    return detector.eval(), losses
