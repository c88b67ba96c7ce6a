"""The page's face of a picture of images: the same tiles and words as HTML, which takes the page's
own colours and width, where a still has white paper and one size.
"""

import base64
import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jinja2 import Environment, Template
from PIL import Image

from muse_core.figures import marks
from muse_core.figures.theme import HEAT, MARK

EXACT_SIDE = 128
"""Pixels of a tile's longer side up to which it is stored without loss."""


@dataclass(frozen=True)
class PageTile:
    """A tile as the template draws it: pixel (x, y) has its middle at (x, y)."""

    name: str
    below: str
    uri: str
    height: int
    width: int
    outline: str
    rings: list[tuple[float, float]]
    radius: float


def html(picture: marks.Drawing) -> str:
    """The picture as one element of HTML. Rows with names keep their columns and scroll where a
    page is narrow; tiles without names flow.
    """
    columns, panels = min(picture.columns, len(picture.panels)), picture.panels
    heads = [_line(panel.title) for panel in panels[:columns]]
    named = any(panel.y.words or panel.title for panel in panels)
    side = f"minmax(64px,{min(180, max(96, 900 // columns))}px)"
    return _template().render(
        picture=picture,
        rows=[
            [_tile(panel) for panel in panels[at : at + columns]]
            for at in range(0, len(panels), columns)
        ],
        heads=heads if any(heads) else [],
        named=named,
        template=f"max-content repeat({columns},{side})" if named else f"repeat(auto-fill,{side})",
        mark=MARK,
        heat=",".join(HEAT),
    )


@cache
def _template() -> Template:
    file = Path(__file__).with_name("images.html.j2")
    return Environment(autoescape=True).from_string(file.read_text(encoding="utf-8"))


def _tile(panel: marks.Panel) -> PageTile:
    tile = next(mark for mark in panel.marks if isinstance(mark, marks.Tile))
    height, width = tile.image.shape[:2]
    return PageTile(
        name=_line(panel.y.words),
        below=_line(panel.x.words),
        uri=_uri(tile.image),
        height=height,
        width=width,
        outline="" if tile.outline is None else edges(np.asarray(tile.outline, dtype=bool)),
        rings=[(float(x), float(y)) for x, y in tile.rings],
        radius=round(0.009 * tile.ring_size * max(width, height), 2),
    )


def thumbnail(picture: marks.Drawing, most: int = 4) -> bytes:
    """A few tiles of the picture's first row, without words, as WebP: what stands for it where it
    would be too small to be read.
    """
    row = picture.panels[: min(picture.columns, len(picture.panels))]
    at = sorted({round(index) for index in np.linspace(0, len(row) - 1, min(most, len(row)))})
    tiles = [
        next(each for each in row[index].marks if isinstance(each, marks.Tile)) for index in at
    ]
    images = [
        Image.fromarray(tile.image).resize((128, 128), Image.Resampling.NEAREST) for tile in tiles
    ]
    strip, buffer = Image.new("RGB", (132 * len(images) - 4, 128), "white"), io.BytesIO()
    for index, image in enumerate(images):
        strip.paste(image, (132 * index, 0))
    strip.save(buffer, "WEBP", quality=90, method=4)
    return buffer.getvalue()


def edges(mask: np.ndarray) -> str:
    """The border of a mask (h, w) as an SVG path along the edges of its pixels."""
    padded = np.pad(mask, 1)
    beside = np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1])
    below = np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1])
    upright = [f"M{x - 0.5:g} {y - 0.5:g}v1" for y, x in beside.tolist()]
    lying = [f"M{x - 0.5:g} {y - 0.5:g}h1" for y, x in below.tolist()]
    return "".join([*upright, *lying])


def _uri(image: np.ndarray) -> str:
    exact, buffer = max(image.shape[:2]) <= EXACT_SIDE, io.BytesIO()
    Image.fromarray(image).save(buffer, "WEBP", lossless=exact, quality=90, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _line(text: str) -> str:
    """A label without the line breaks that the still needs."""
    return " ".join(text.split("\n"))
