"""A 1x1 linear head on frozen tokens, its logits resized to the mask: what each token says about
its place.

mIoU is taken from one confusion matrix over all test pixels, over the classes that occur in truth
or prediction."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from muse_core.data.batch import IGNORED_PIXEL
from muse_core.errors import MuseError
from muse_core.evaluation.understanding.linear_probe import VALIDATION_SHARE, split_for_validation
from muse_core.losses.topology import Grid

BATCH_SIZE = 16
MOST_WHOLE = 2000
"""Training images up to which the head is fitted on all of them at once, to its minimum; more are
read in batches by AdamW, as is usual on ADE20K.
"""
STRIDE, MOST_PIXELS = 7, 300_000
"""Along both sides, between the pixels that such a fit reads, as neighbours say the same; further
apart where there would be more than so many.
"""
TOLERANCE = 1e-4
"""Largest derivative of the mean loss at which such a fit has converged."""


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
        steps: of AdamW, or iterations of L-BFGS at most; a third of them for what validation
            chooses.

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
    if not all(torch.isfinite(tokens).all() for tokens in (train, test)):
        raise MuseError("A segmentation probe is given tokens that are not finite: look at them.")
    train, test = train.float(), test.float()
    train_masks, test_masks = train_masks.long(), test_masks.long()
    fitted, held = map(torch.from_numpy, split_for_validation(len(train), seed))
    fit = WHOLE if len(train) <= MOST_WHOLE else IN_BATCHES

    mean, scale = train.mean((0, 1)), train.std((0, 1)).clamp(min=1e-6)
    # So that no feature's scale is an advantage.
    tokens = (train - mean) / scale
    head, scores, heads = None, {}, {}
    for choice in fit.choices:
        given = tokens[fitted], train_masks[fitted], grid, num_classes, choice, seed
        head = fit.run(*given, max(1, steps // 3), head)
        heads[choice] = head
        score = mean_iou(confusions(tokens[held], train_masks[held], grid, head.weight, head.bias))
        scores[choice] = score if math.isfinite(score) else 0.0
    choice = max(fit.choices, key=lambda each: scores[each])
    given = tokens, train_masks, grid, num_classes, choice, seed
    head = fit.run(*given, steps, heads[choice])
    weight = head.weight / scale
    bias = head.bias - weight @ mean
    protocol = (
        f"1x1 linear head, {head.words} chosen on {VALIDATION_SHARE:.0%} of {len(train)} training "
        "images, logits resized bilinearly, void pixels ignored, global confusion matrix"
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


@dataclass(frozen=True)
class _Head:
    """Of standardised tokens, and in words how it was fitted."""

    weight: Tensor
    bias: Tensor
    words: str


@dataclass(frozen=True)
class _Fit:
    """A way to fit the head. ``choices``: what validation chooses from; ``run``: tokens, masks,
    grid, classes, the choice, seed, steps and a head to begin with -> the head.
    """

    choices: tuple[float, ...]
    run: Callable[[Tensor, Tensor, Grid, int, float, int, int, _Head | None], _Head]


def _whole(
    tokens: Tensor,
    masks: Tensor,
    grid: Grid,
    classes: int,
    penalty: float,
    seed: int,
    steps: int,
    start: _Head | None,
) -> _Head:
    """The minimum over all images at once: the loss is convex, so neither the seed nor the head
    that it begins with matters.
    """
    weight, bias = torch.zeros(classes, tokens.shape[-1]), torch.zeros(classes)
    if start is not None:
        weight, bias = start.weight.clone(), start.bias.clone()
    weight.requires_grad_()
    bias.requires_grad_()
    seen, truth, stride = _labelled_pixels(tokens, masks, grid)
    optimiser = torch.optim.LBFGS(
        [weight, bias],
        max_iter=steps,
        max_eval=2 * steps,
        tolerance_grad=TOLERANCE,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = F.cross_entropy(F.linear(seen, weight, bias), truth)
        loss = loss + penalty / 2 * weight.square().sum()
        loss.backward()
        return loss.detach()

    with torch.enable_grad():
        optimiser.step(closure)
    done = optimiser.state[weight]["n_iter"]
    gradients = [each.grad for each in (weight, bias) if each.grad is not None]
    flat = all(gradient.abs().max() <= TOLERANCE for gradient in gradients)
    ended = "converged after" if flat else "stopped after"
    words = f"L-BFGS on every {stride}th pixel, {ended} {done} iterations, L2 {penalty:g}"
    return _Head(weight.detach(), bias.detach(), words)


def _in_batches(
    tokens: Tensor,
    masks: Tensor,
    grid: Grid,
    classes: int,
    rate: float,
    seed: int,
    steps: int,
    start: _Head | None,
) -> _Head:
    """AdamW, always from zero."""
    height, width = masks.shape[-2:]
    head = nn.Linear(tokens.shape[-1], classes)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    optimiser = torch.optim.AdamW(head.parameters(), lr=rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimiser, steps)
    generator = torch.Generator().manual_seed(seed)
    with torch.enable_grad():
        for _ in range(steps):
            part = torch.randint(len(tokens), (min(BATCH_SIZE, len(tokens)),), generator=generator)
            logits = _logits(tokens[part], grid, head.weight, head.bias, (height, width))
            loss = F.cross_entropy(logits, masks[part], ignore_index=IGNORED_PIXEL)
            optimiser.zero_grad()
            loss.nan_to_num(0.0).backward()
            optimiser.step()
            schedule.step()
    words = f"AdamW, {steps} steps of {BATCH_SIZE}, lr {rate:g}"
    return _Head(head.weight.detach(), head.bias.detach(), words)


WHOLE = _Fit((1e-3, 1e-4, 1e-5), _whole)
IN_BATCHES = _Fit((0.001, 0.01), _in_batches)


def _labelled_pixels(tokens: Tensor, masks: Tensor, grid: Grid) -> tuple[Tensor, Tensor, int]:
    """Tokens resized to every so many pixels (pixels, width), their classes, and how many.

    A linear head and bilinear resizing may change places.
    """
    most = math.ceil(math.sqrt(masks.numel() / MOST_PIXELS))
    stride = min(max(STRIDE, most), *masks.shape[-2:])
    down, across = (
        _upsampling(at, side, stride) for at, side in zip(grid, masks.shape[-2:], strict=True)
    )
    maps = rearrange(tokens, "b (h w) c -> b h w c", h=grid[0])
    seen = torch.einsum("rh,sw,bhwc->brsc", down, across, maps).flatten(0, 2)
    truth = masks[:, stride // 2 :: stride, stride // 2 :: stride].flatten()
    known = truth != IGNORED_PIXEL
    if not known.any():
        raise MuseError(
            "Too few pixels of the masks are labelled for a segmentation probe: give masks with "
            "more of them."
        )
    return seen[known], truth[known], stride


def _upsampling(tokens: int, pixels: int, stride: int) -> Tensor:
    """(fitted pixels, tokens): bilinear resizing along one side, at every ``stride``-th pixel."""
    resized = F.interpolate(torch.eye(tokens)[None], pixels, mode="linear", align_corners=False)
    return resized[0].T[stride // 2 :: stride]
