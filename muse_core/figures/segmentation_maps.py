"""What a segmentation head sees: images, their labelled classes, and the predicted ones."""

from collections.abc import Sequence

import numpy as np
from matplotlib.patches import Patch

from muse_core.errors import MuseError
from muse_core.figures.image_grids import (
    COLUMN_INCHES,
    class_colour,
    class_name,
    overlaid,
    pixels,
    placed,
)
from muse_core.figures.picture import Number, Picture, blank


def segmentation_overlays(
    images: np.ndarray,
    truth: np.ndarray,
    predicted: np.ndarray,
    class_names: Sequence[str],
    ious: Sequence[Number] | np.ndarray,
    title: str = "",
    background: int | None = 0,
) -> Picture:
    """Three rows: images, ``truth`` and ``predicted`` laid over them, with each image's mIoU (0..1)
    below.

    Masks (n, h, w) hold class numbers, 255 = void (grey). Class ``background`` is not tinted; None
    tints all classes."""
    tiles, truth, predicted = pixels(images), np.asarray(truth), np.asarray(predicted)
    _check(tiles, truth, predicted, ious)
    present = [int(value) for value in np.union1d(truth, predicted) if value != background]
    names = [class_name(value, class_names) for value in present]
    heading = title or f"Segmentation of {len(tiles)} image{'s' if len(tiles) > 1 else ''}"
    width = max(len(tiles) * COLUMN_INCHES + 0.6, 5)
    columns = _legend_columns(names, width)
    side = COLUMN_INCHES * tiles.shape[1] / tiles.shape[2]
    still = blank(width, 3 * side + 0.85 + 0.2 * -(-len(present) // columns), heading)
    axes = still.subplots(3, len(tiles), squeeze=False)
    for column, (tile, true, guess, iou) in enumerate(
        zip(tiles, truth, predicted, ious, strict=True)
    ):
        shown = {
            "image": tile,
            "truth": _over(tile, true, background),
            "prediction": _over(tile, guess, background),
        }
        for place, (label, overlay) in zip(axes[:, column], shown.items(), strict=True):
            placed(place, overlay, label if column == 0 else "")
        axes[2, column].set_xlabel(
            f"mIoU {100 * iou:.1f} %" if np.isfinite(iou) else "no mIoU", fontsize=9
        )
    patches = [
        Patch(color=class_colour(value) / 255, label=name)
        for value, name in zip(present, names, strict=True)
    ]
    if patches:
        still.legend(
            handles=patches, loc="outside lower center", ncols=columns, frameon=False, fontsize=9
        )
    return Picture(None, still)


def _legend_columns(names: Sequence[str], width: Number) -> int:
    """How many entries of the legend fit side by side, at 0.08 inches a letter."""
    longest = max(map(len, names), default=0)
    return max(1, min(len(names), int(width / (0.55 + 0.08 * longest))))


def _over(tile: np.ndarray, mask: np.ndarray, background: int | None) -> np.ndarray:
    return overlaid(tile, mask, background=background)


def _check(
    tiles: np.ndarray, truth: np.ndarray, predicted: np.ndarray, ious: Sequence[Number] | np.ndarray
) -> None:
    if not len(tiles):
        raise MuseError("There is no image to lay masks over: give at least one.")
    for name, masks in (("Truth", truth), ("Prediction", predicted)):
        if masks.shape != tiles.shape[:3]:
            raise MuseError(
                f"{name} of shape {masks.shape} does not fit images of {tiles.shape[:3]}: resize one."
            )
    if len(ious) != len(tiles):
        raise MuseError(f"There are {len(ious)} mIoUs for {len(tiles)} images: give one an image.")
