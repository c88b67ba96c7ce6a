"""Images side by side: grids, reconstructions, masks laid over them, samples by prompt, edits."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import ImageColor

from muse_core.errors import MuseError
from muse_core.figures.marks import Axis, Number, Panel, Tile, wrapped
from muse_core.figures.picture import Picture

IGNORED = 255
"""The mask value of a pixel nobody labelled (`muse_core.data.batch.IGNORED_PIXEL`)."""

TINTS = "#4477aa #ee6677 #228833 #ccbb44 #66ccee #aa3377 #ee7733 #009988 #cc3311 #0077bb #997700"
CLASS_COLOURS = TINTS.split()
PAGE = 9.4
"""Inches of a report's page."""
LARGEST_SIDE = 1.6
"""Inches of an image's width, at most."""

Images = Any
"""Numbers in [0, 1], (n, h, w, 3) or (n, 3, h, w)."""


def pixels(images: Images) -> np.ndarray:
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
    images: Images, captions: Sequence[str] = (), columns: int = 6, title: str = "Images"
) -> Picture:
    """Images in reading order, each with its caption (cut to four lines) below.

    Args:
        images: Numbers in [0, 1], (n, h, w, 3) or (n, 3, h, w).
        captions: None, or one an image.
        columns: Images side by side, at most.
        title: What the images show.

    Raises:
        MuseError: The images have another shape.
    """
    tiles = [Tile(tile) for tile in pixels(images)]
    columns = max(1, min(columns, len(tiles)))
    rows = [tiles[at : at + columns] for at in range(0, len(tiles), columns)]
    below = [captions[at : at + columns] for at in range(0, len(captions), columns)]
    return sheet(rows, title, below=below)


def sample_grid(images: Images, prompts: Sequence[str], title: str) -> Picture:
    """Samples in reading order, each with its prompt below."""
    return image_grid(images, prompts, 8, title).shown("samples")


def sample_strips(
    rows: Mapping[str, Images],
    title: str,
    heads: Sequence[str] = (),
    below: Mapping[str, Sequence[str]] | None = None,
) -> Picture:
    """One row of images a name; the names stand at the left, ``heads`` above the columns, captions
    ``below`` the images of a row.

    Raises:
        MuseError: The rows are not equally long.
    """
    tiles = {name: [Tile(tile) for tile in pixels(images)] for name, images in rows.items()}
    lengths = [len(each) for each in tiles.values()]
    if len(set(lengths)) != 1:
        raise MuseError(f"{title!r} needs rows of equally many images: got {lengths}.")
    captions = [(below or {}).get(name, ()) for name in tiles]
    return sheet(list(tiles.values()), title, list(tiles), heads, captions).shown("strips")


def edit_strip(columns: Mapping[str, Images], mask: np.ndarray, title: str) -> Picture:
    """One row for each kind of image, in the order of ``columns``; the mask (n, h, w) is outlined
    on every one.
    """
    rows = [
        [Tile(tile, outline=one) for tile, one in zip(pixels(images), mask, strict=True)]
        for images in columns.values()
    ]
    return sheet(rows, title, list(columns)).shown("edits")


def reconstruction_grid(
    inputs: Images,
    reconstructions: Images,
    psnr: Sequence[Number] | np.ndarray,
    gain: Number = 4.0,
    title: str = "Images, their reconstructions, and the error",
) -> Picture:
    """Three rows: inputs, their reconstructions, and the absolute error times ``gain``.

    Args:
        inputs: Images, (n, h, w, 3) or (n, 3, h, w), in [0, 1].
        reconstructions: The same shape.
        psnr: dB, one an image.
        gain: What the error is multiplied with.
        title: What the rows show.

    Raises:
        MuseError: The shapes differ.
    """
    shapes = np.shape(inputs), np.shape(reconstructions)
    if shapes[0] != shapes[1]:
        raise MuseError(f"Inputs {shapes[0]} and reconstructions {shapes[1]} differ in shape.")
    top, middle = pixels(inputs), pixels(reconstructions)
    error = np.clip(np.abs(top.astype(np.float32) - middle) * gain, 0, 255).astype(np.uint8)
    decibels = [f"{each:.1f} dB" if np.isfinite(each) else "no PSNR" for each in psnr]
    names = ("input", "output", f"|error| × {gain:g}")
    rows = [[Tile(tile) for tile in each] for each in (top, middle, error)]
    return sheet(rows, title, names, below=((), decibels)).shown("reconstructions")


def mask_overlay(
    images: Images, masks: np.ndarray, class_names: Sequence[str], title: str = "Images and masks"
) -> Picture:
    """Images above, their masks laid over them below, with a legend.

    Args:
        images: Numbers in [0, 1], (n, h, w, 3) or (n, 3, h, w).
        masks: Classes (n, h, w); 0 is background, 255 unlabelled (grey).
        class_names: Class 0 first.
        title: What the masks show.
    """
    key, rows = _masked(images, {"mask": masks}, class_names, 0)
    return sheet(rows, title, ("image", "mask"), key=key).shown("masks")


def segmentation_overlays(
    images: Images,
    truth: np.ndarray,
    predicted: np.ndarray,
    class_names: Sequence[str],
    ious: Sequence[Number] | np.ndarray,
    background: int | None = 0,
) -> Picture:
    """Three rows: images, ``truth`` and ``predicted`` laid over them, with each image's mIoU below.

    Args:
        images: Numbers in [0, 1], (n, h, w, 3) or (n, 3, h, w).
        truth: Classes (n, h, w), 255 = void (grey).
        predicted: Classes (n, h, w).
        class_names: Class 0 first.
        ious: Mean intersection over union of each image, in 0..1.
        background: The class that is not tinted; None tints all.

    Raises:
        MuseError: There is not a number for every image.
    """
    masks = {"truth": truth, "prediction": predicted}
    key, rows = _masked(images, masks, class_names, background)
    if len(ious) != len(images):
        raise MuseError(f"There are {len(ious)} mIoUs for {len(images)} images: give one an image.")
    below = [f"mIoU {100 * iou:.1f} %" if np.isfinite(iou) else "no mIoU" for iou in ious]
    heading = f"Segmentation of {len(images)} image{'s' if len(images) > 1 else ''}"
    names = ("image", *masks)
    return sheet(rows, heading, names, below=((), (), below), key=key).shown("segmentation")


def sheet(
    rows: Sequence[Sequence[Tile]],
    title: str,
    names: Sequence[str] = (),
    heads: Sequence[str] = (),
    below: Sequence[Sequence[str]] = (),
    key: Mapping[str, str] | None = None,
    bar: str = "",
) -> Picture:
    """Rows of images no wider than a page: ``names`` at their left, ``heads`` above the columns,
    captions ``below`` each.
    """
    columns = max(map(len, rows))
    labels = [wrapped(name, 18, 72) for name in names]
    left = 0.2 + 0.075 * max((len(line) for each in labels for line in each.split("\n")), default=0)
    side = min(LARGEST_SIDE, (PAGE - left) / columns)
    letters = max(8, int(side * 13))
    panels, lines = [], 0
    for at, tiles in enumerate(rows):
        captions = [wrapped(text, letters, 4 * letters) for text in [*below, *[()] * len(rows)][at]]
        lines += max((text.count("\n") + 1 for text in captions), default=0)
        for column, tile in enumerate(tiles):
            caption = captions[column] if column < len(captions) else ""
            name = labels[at] if labels and column == 0 else ""
            head = wrapped(heads[column], letters, 80) if at == 0 and column < len(heads) else ""
            panels.append(Panel([tile], Axis(caption), Axis(name), head))
    height, width = panels[0].marks[0].image.shape[:2]
    lines += max((panel.title.count("\n") + 1 for panel in panels if panel.title), default=0)
    tall = len(rows) * (side * height / width + 0.08) + 0.15 * lines + 0.5
    size = (max(4.5, columns * side + left), tall + 0.25 * bool(key) + 0.6 * bool(bar))
    return Picture(title, panels, size, "images", columns, key or {}, bar)


def overlaid(tile: np.ndarray, mask: np.ndarray, background: int | None = 0) -> np.ndarray:
    """One uint8 image (h, w, 3) under the classes of its mask (h, w), in the legend's very colours;
    shading shows the image below, class ``background`` stays as it is.
    """
    shade = 0.88 + 0.12 * tile.mean(-1, keepdims=True) / 255
    out = tile.copy()
    for value in np.unique(mask if background is None else mask[mask != background]):
        inside = mask == value
        out[inside] = np.rint(shade[inside] * ImageColor.getrgb(class_colour(int(value))))
    return out


def class_colour(value: int) -> str:
    """The fixed colour of a class."""
    return "#999999" if value == IGNORED else CLASS_COLOURS[(value - 1) % len(CLASS_COLOURS)]


def _masked(
    images: Images, masks: Mapping[str, np.ndarray], names: Sequence[str], background: int | None
) -> tuple[dict[str, str], list[list[Tile]]]:
    """The legend of the classes that are there, and rows of images without and with their masks."""
    tiles, key = pixels(images), {}
    rows = [[Tile(tile) for tile in tiles]]
    for each in masks.values():
        laid = (overlaid(tile, mask, background) for tile, mask in zip(tiles, each, strict=True))
        rows.append([Tile(tile) for tile in laid])
    for value in np.unique(np.stack(list(masks.values()))).tolist():
        name = names[value] if value < len(names) else f"class {value}"
        if value != background:
            key["unlabelled" if value == IGNORED else name] = class_colour(value)
    return key, rows
