"""Photographs side by side: a grid, inputs against their reconstructions, and masks laid over
images.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from muse_core.errors import MuseError
from muse_core.figures.picture import Number, Picture, blank, plain, wrapped

IGNORED = 255
"""The mask value of a pixel nobody labelled (`muse_core.data.batch.IGNORED_PIXEL`)."""

CLASS_COLOURS = [
    "4477aa",
    "ee6677",
    "228833",
    "ccbb44",
    "66ccee",
    "aa3377",
    "ee7733",
    "009988",
    "cc3311",
    "0077bb",
    "997700",
]
COLUMN_INCHES = 1.7


def pixels(images: np.ndarray) -> np.ndarray:
    """Images in [0, 1], (n, h, w, 3) or (n, 3, h, w), as uint8 (n, h, w, 3); not-a-number becomes
    black.
    """
    images = np.asarray(images)
    if images.ndim != 4 or 3 not in (images.shape[1], images.shape[-1]):
        raise MuseError(
            f"Images of shape {images.shape} cannot be drawn: give (n, h, w, 3) or (n, 3, h, w)."
        )
    last = images if images.shape[-1] == 3 else images.transpose(0, 2, 3, 1)
    return np.rint(np.clip(np.nan_to_num(last.astype(np.float32)), 0, 1) * 255).astype(np.uint8)


def image_grid(
    images: np.ndarray, captions: Sequence[str] = (), columns: int = 6, title: str = ""
) -> Picture:
    """Images in reading order, each with its caption (cut to three lines) below."""
    tiles = pixels(images)
    columns = max(1, min(columns, len(tiles)))
    rows = -(-len(tiles) // columns)
    lines = max((_caption(text, columns).count("\n") + 1 for text in captions), default=0)
    height = rows * (COLUMN_INCHES + 0.17 * lines) + 0.4
    still = blank(max(columns * COLUMN_INCHES, 4), height, title or f"{len(tiles)} images")
    axes = still.subplots(rows, columns, squeeze=False).ravel()
    for position, place in enumerate(axes):
        if position >= len(tiles):
            place.axis("off")
            continue
        placed(place, tiles[position])
        place.set_xlabel(
            _caption(captions[position], columns) if position < len(captions) else "", fontsize=8
        )
    return Picture(None, still)


def reconstruction_grid(
    inputs: np.ndarray,
    reconstructions: np.ndarray,
    psnr: Sequence[Number] | np.ndarray,
    gain: Number = 4.0,
    title: str = "",
) -> Picture:
    """Three rows: inputs, their reconstructions, and the absolute error times ``gain``. ``psnr``:
    dB, one an image.
    """
    if np.shape(inputs) != np.shape(reconstructions):
        raise MuseError(
            f"Inputs {np.shape(inputs)} and reconstructions {np.shape(reconstructions)} differ in shape."
        )
    top, middle = pixels(inputs), pixels(reconstructions)
    error = np.clip(np.abs(top.astype(np.float32) - middle) * gain, 0, 255).astype(np.uint8)
    heading = (
        title or f"Reconstruction at {np.nanmean(psnr):.1f} dB PSNR on average ({len(top)} images)"
    )
    still = blank(max(len(top) * COLUMN_INCHES + 0.6, 5), 3 * COLUMN_INCHES + 0.7, heading)
    axes = still.subplots(3, len(top), squeeze=False)
    for row, (label, tiles) in enumerate(
        [("input", top), ("reconstruction", middle), (f"|error| × {gain:g}", error)]
    ):
        for column, tile in enumerate(tiles):
            placed(axes[row, column], tile, label if column == 0 else "")
    for place, decibel in zip(axes[1], psnr, strict=True):
        place.set_xlabel(f"{decibel:.1f} dB" if np.isfinite(decibel) else "no PSNR", fontsize=8)
    return Picture(None, still)


def mask_overlay(
    images: np.ndarray,
    masks: np.ndarray,
    class_names: Sequence[str] = (),
    opacity: Number = 0.55,
    title: str = "",
) -> Picture:
    """Images above, masks (n, h, w; 0 = background, 255 = unlabelled, grey) laid over them below,
    with a legend.
    """
    tiles, masks = pixels(images), np.asarray(masks)
    if masks.shape != tiles.shape[:3]:
        raise MuseError(
            f"Masks of shape {masks.shape} do not fit images of {tiles.shape[:3]}: resize one of them."
        )
    present = [int(value) for value in np.unique(masks) if value != 0]
    still = blank(
        max(len(tiles) * COLUMN_INCHES + 0.6, 5),
        2 * COLUMN_INCHES + 1.1,
        title or _found(present, len(tiles)),
    )
    axes = still.subplots(2, len(tiles), squeeze=False)
    for column, (tile, mask) in enumerate(zip(tiles, masks, strict=True)):
        placed(axes[0, column], tile, "image" if column == 0 else "")
        placed(axes[1, column], overlaid(tile, mask, opacity), "mask" if column == 0 else "")
    patches = [
        Patch(color=class_colour(value) / 255, label=class_name(value, class_names))
        for value in present
    ]
    if patches:
        still.legend(
            handles=patches,
            loc="outside lower center",
            ncols=min(6, len(patches)),
            frameon=False,
            fontsize=8,
        )
    return Picture(None, still)


def overlaid(
    tile: np.ndarray, mask: np.ndarray, opacity: Number = 0.55, background: int | None = 0
) -> np.ndarray:
    """One uint8 image (h, w, 3) with each class of its mask (h, w) tinted; class ``background``
    stays as it is.
    """
    out = tile.astype(np.float32)
    for value in np.unique(mask if background is None else mask[mask != background]):
        out[mask == value] = (1 - opacity) * out[mask == value] + opacity * class_colour(int(value))
    return np.rint(out).astype(np.uint8)


def class_colour(value: int) -> np.ndarray:
    """The fixed RGB (0..255) of a class."""
    text = "999999" if value == IGNORED else CLASS_COLOURS[(value - 1) % len(CLASS_COLOURS)]
    return np.array([int(text[at : at + 2], 16) for at in (0, 2, 4)], dtype=np.float32)


def class_name(value: int, names: Sequence[str]) -> str:
    if value == IGNORED:
        return "unlabelled"
    return plain(names[value]) if value < len(names) else f"class {value}"


def _found(present: list[int], count: int) -> str:
    return f"{len([value for value in present if value != IGNORED])} classes in {count} images"


def _caption(text: str, columns: int) -> str:
    return wrapped(text, 22 if columns > 1 else 40, "\n", longest=60)


def placed(place: Axes, tile: np.ndarray, label: str = "") -> None:
    """One image without ticks; a row's first tile carries the row's name."""
    place.imshow(tile)
    place.set(xticks=[], yticks=[])
    place.spines[:].set_visible(False)
    if label:
        place.set_ylabel(plain(label), fontsize=10)
