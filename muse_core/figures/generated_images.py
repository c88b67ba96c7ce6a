"""Generated images: grids by prompt, strips that show a change, edits beside what they came from."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from muse_core.errors import MuseError
from muse_core.figures.image_grids import pixels
from muse_core.figures.picture import Picture, blank, wrapped

TILE = 1.15
"""Inches of one image."""


def sample_grid(
    images: np.ndarray, prompts: Sequence[str], title: str, columns: int = 8
) -> Picture:
    """Samples in reading order, each with its prompt below."""
    tiles = pixels(images)
    if len(tiles) != len(prompts) or not len(tiles):
        raise MuseError(
            f"There are {len(tiles)} images and {len(prompts)} prompts: give one prompt for each image."
        )
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    still = blank(columns * TILE, rows * (TILE + 0.62) + 0.5, title)
    places = still.subplots(rows, columns, squeeze=False).ravel()
    for place in places:
        place.axis("off")
    for place, tile, prompt in zip(places, tiles, prompts, strict=False):
        _image(place, tile)
        place.set_title(
            wrapped(prompt, 19, "\n", 76), y=-0.05, pad=0, va="top", fontsize=7, loc="center"
        )
    return Picture(None, still)


def sample_strips(
    rows: Mapping[str, np.ndarray], title: str, column_names: Sequence[str] | None = None
) -> Picture:
    """One row of images a name; the names stand at the left."""
    tiles = {name: pixels(images) for name, images in rows.items()}
    if not tiles or len({len(each) for each in tiles.values()}) != 1:
        raise MuseError(
            f"{title!r} needs rows of equally many images: got {[len(each) for each in tiles.values()]}."
        )
    still, places = _table(list(tiles), len(next(iter(tiles.values()))), title)
    for row, each in enumerate(tiles.values()):
        for column, tile in enumerate(each):
            _image(places[row, column], tile)
    _name_columns(places, column_names)
    return Picture(None, still)


def edit_strip(columns: Mapping[str, np.ndarray], mask: np.ndarray, title: str) -> Picture:
    """One row for each kind of image, in the order of ``columns``; the mask (n, h, w) is outlined
    on every one.
    """
    tiles = {name: pixels(images) for name, images in columns.items()}
    if not tiles or any(len(each) != len(mask) for each in tiles.values()):
        raise MuseError(f"{title!r} needs a mask for every image: got {len(mask)} masks.")
    still, places = _table(list(tiles), len(mask), title)
    for row, each in enumerate(tiles.values()):
        for column, tile in enumerate(each):
            _image(places[row, column], tile)
            places[row, column].contour(
                mask[column].astype(float), levels=[0.5], colors="#ff2d55", linewidths=0.9
            )
    return Picture(None, still)


def _table(names: list[str], count: int, title: str) -> tuple[Figure, np.ndarray]:
    """Axes (rows, count) with the rows' names at the left."""
    still = blank(count * TILE + 1.3, len(names) * TILE + 0.5, title)
    places = still.subplots(len(names), count, squeeze=False)
    for row, name in enumerate(names):
        for place in places[row]:
            place.set(xticks=[], yticks=[])
            place.spines[:].set_visible(False)
        places[row, 0].set_ylabel(
            wrapped(name, 18, "\n", 72), rotation=0, ha="right", va="center", fontsize=8
        )
    return still, places


def _name_columns(places: np.ndarray, names: Sequence[str] | None) -> None:
    for place, name in zip(places[0], names or (), strict=False):
        place.set_title(wrapped(name, 19, "\n", 76), fontsize=8, loc="center")


def _image(place: Axes, tile: np.ndarray) -> None:
    place.imshow(tile, interpolation="nearest")
    place.set(xticks=[], yticks=[])
    place.grid(False)
