"""A 1x1 linear head on frozen tokens, its logits resized to the mask: what each token says about
its place.

mIoU is taken from one confusion matrix over all test pixels, over the classes that occur in truth
or prediction."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from muse_core.data.batch import IGNORED_PIXEL
from muse_core.errors import MuseError
from muse_core.evaluation.understanding.linear_probe import VALIDATION_SHARE, split_for_validation
from muse_core.losses.topology import Grid

RATE_GRID = (0.003, 0.03)
"""AdamW's learning rates; the better one on the validation images is taken."""
BATCH_SIZE = 32


@dataclass(frozen=True)
class Segmented:
    """``confusion`` (test images, classes, classes), rows = truth; ``weight`` and ``bias`` of the
    head on raw tokens.
    """

    confusion: Tensor
    weight: Tensor
    bias: Tensor
    protocol: str


def segmentation_probe(
    train: Tensor,
    train_masks: Tensor,
    test: Tensor,
    test_masks: Tensor,
    grid: Grid,
    num_classes: int,
    seed: int = 0,
    *,
    steps: int,
) -> Segmented:
    """Train the head on the training images and measure it on the test images.

    Args:
        train, test: tokens (images, tokens, width) in raster order.
        train_masks, test_masks: class of every pixel (images, height, width); 255 is void.
        grid: rows and columns of the tokens.
        num_classes: of the masks.
        seed: of the validation split and the batches.
        steps: of AdamW; the rate is chosen after a third of them.

    Raises:
        MuseError: for classes outside the list, for masks all void, and for one image.
    """
    if len(train) < 2:
        raise MuseError(
            f"A segmentation probe needs two training images with masks, and there is {len(train)}:"
            " use more."
        )
    for masks in (train_masks, test_masks):
        _check(masks, num_classes)
    fitted, held = map(torch.from_numpy, split_for_validation(len(train), seed))

    def held_out_score(rate: float) -> float:
        few = max(1, steps // 3)
        head = _fit(train[fitted], train_masks[fitted], grid, num_classes, rate, seed, few)
        score = mean_iou(confusions(train[held], train_masks[held], grid, *head))
        return score if math.isfinite(score) else 0.0

    rate = max(RATE_GRID, key=held_out_score)
    weight, bias = _fit(train, train_masks, grid, num_classes, rate, seed, steps)
    protocol = (
        f"1x1 linear head, AdamW lr {rate:g} chosen on {VALIDATION_SHARE:.0%} of {len(train)} "
        f"training images, {steps} steps of {BATCH_SIZE}, logits resized bilinearly, void pixels "
        "ignored, global confusion matrix"
    )
    return Segmented(confusions(test, test_masks, grid, weight, bias), weight, bias, protocol)


def iou(confusion: Tensor) -> Tensor:
    """Intersection over union of each class from a confusion matrix (classes, classes); NaN for a
    class that never occurs.

    The matrix is torchmetrics'; this last step is ours, because a bootstrap needs it on sums of
    matrices (a test holds it against torchmetrics' Jaccard index)."""
    hits = confusion.diagonal().double()
    return hits / (confusion.sum(0) + confusion.sum(1) - hits)


def mean_iou(confusion: Tensor) -> float:
    """mIoU over the classes that occur; ``confusion`` (images, classes, classes) is summed over
    images first.
    """
    return iou(confusion.sum(0)).nanmean().item()


def predict(tokens: Tensor, grid: Grid, weight: Tensor, bias: Tensor, size: Grid) -> Tensor:
    """Class of every pixel, (images, height, width)."""
    return _logits(tokens, grid, weight, bias, size).argmax(1)


def confusions(tokens: Tensor, masks: Tensor, grid: Grid, weight: Tensor, bias: Tensor) -> Tensor:
    """A confusion matrix an image, (images, classes, classes), rows = truth."""
    # Here, as it takes a second that no other use of this package needs.
    from torchmetrics.functional.classification import multiclass_confusion_matrix

    found, (height, width) = [], masks.shape[-2:]
    for part in torch.arange(len(tokens)).split(BATCH_SIZE):
        predicted = predict(tokens[part], grid, weight, bias, (height, width))
        found += [
            multiclass_confusion_matrix(p, m, len(bias), ignore_index=IGNORED_PIXEL)
            for p, m in zip(predicted, masks[part], strict=True)
        ]
    return torch.stack(found)


def _logits(tokens: Tensor, grid: Grid, weight: Tensor, bias: Tensor, size: Grid) -> Tensor:
    maps = rearrange(F.linear(tokens, weight, bias), "b (h w) c -> b c h w", h=grid[0], w=grid[1])
    return F.interpolate(maps, size, mode="bilinear", align_corners=False)


def _check(masks: Tensor, num_classes: int) -> None:
    known = masks[masks != IGNORED_PIXEL]
    if not known.numel():
        raise MuseError("Every pixel of the masks is void: give masks with classes.")
    if int(known.max()) >= num_classes or int(known.min()) < 0:
        raise MuseError(
            f"A mask holds class {int(known.max())} but there are {num_classes} classes: mend the "
            "class list."
        )


def _fit(
    tokens: Tensor, masks: Tensor, grid: Grid, num_classes: int, rate: float, seed: int, steps: int
) -> tuple[Tensor, Tensor]:
    """Weight and bias on raw tokens; trained on standardised ones, so that no feature's scale is an
    advantage.
    """
    mean, scale = tokens.mean((0, 1)), tokens.std((0, 1)).clamp(min=1e-6)
    height, width = masks.shape[-2:]
    head = nn.Linear(tokens.shape[-1], num_classes)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    optimiser = torch.optim.AdamW(head.parameters(), lr=rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    generator = torch.Generator().manual_seed(seed)
    with torch.enable_grad():
        for _ in range(steps):
            part = torch.randint(len(tokens), (min(BATCH_SIZE, len(tokens)),), generator=generator)
            standard = (tokens[part] - mean) / scale
            logits = _logits(standard, grid, head.weight, head.bias, (height, width))
            loss = F.cross_entropy(logits, masks[part], ignore_index=IGNORED_PIXEL)
            optimiser.zero_grad()
            loss.nan_to_num(0.0).backward()
            optimiser.step()
            schedule.step()
    weight = (head.weight / scale).detach()
    return weight, (head.bias - weight @ mean).detach()
