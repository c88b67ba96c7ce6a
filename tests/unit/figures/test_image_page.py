"""Images in a page: the tiles themselves, their words made harmless, marks where the still has them."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from muse_core.figures import edit_strip, image_grid, mask_overlay, sample_strips
from muse_core.figures.image_page import edges, html
from muse_core.figures.images import pixels, sheet
from muse_core.figures.marks import Tile

IMAGES = np.random.default_rng(0).random((3, 8, 12, 3))


def tiles(page: str) -> list[np.ndarray]:
    found = re.findall(r'href="data:image/webp;base64,([^"]+)"', page)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(each)))) for each in found]


def test_every_tile_is_there_to_the_bit_with_its_words() -> None:
    page = html(image_grid(IMAGES, ["a <b>", "two", ""], title="Three & more"))
    for shown, image in zip(tiles(page), pixels(IMAGES), strict=True):
        assert (shown == image).all()
    assert "a &lt;b&gt;" in page and "Three &amp; more" in page and "<b>" not in page
    assert "repeat(auto-fill," in page, "tiles without names flow"


def test_rows_with_names_keep_their_columns() -> None:
    page = html(sample_strips({"one": IMAGES, "two": IMAGES}, title="Rows"))
    assert re.findall(r'class="name">([^<]*)<', page) == ["one", "two"] and len(tiles(page)) == 6
    assert "max-content repeat(3," in page


def test_heads_stand_above_their_columns() -> None:
    row = [Tile(tile) for tile in pixels(IMAGES)]
    page = html(sheet([row], "t", ["first row"], ["a", "b", "c"], bar="each its own"))
    assert re.findall(r'class="head">([^<]*)<', page) == ["a", "b", "c"]
    assert "largest · each its own" in page


def test_the_legend_says_the_colours_of_the_classes() -> None:
    masks = np.zeros((3, 8, 12), int)
    masks[:, :4] = 1
    page = html(mask_overlay(IMAGES, masks, ["ground", "a <star>"]))
    assert re.search(r'background:#[0-9a-f]{6}"></i>a &lt;star&gt;', page)


def test_rings_and_outlines_lie_where_they_belong() -> None:
    page = html(sheet([[Tile(pixels(IMAGES)[0], [(3.5, 2.0)])]], "t"))
    assert 'viewBox="-0.5 -0.5 12 8"' in page and '<circle cx="3.5" cy="2.0"' in page
    mask = np.zeros((3, 8, 12), bool)
    mask[:, 2:4, 5] = True
    assert edges(mask[0]) in html(edit_strip({"image": IMAGES}, mask, "t"))


@pytest.mark.parametrize("rows", [slice(0, 8), slice(2, 5)])
def test_an_outline_runs_around_its_mask(rows: slice) -> None:
    mask = np.zeros((8, 12), bool)
    mask[rows, 3:7] = True
    found = re.findall(r"M([-\d.]+) ([-\d.]+)([vh])1", edges(mask))
    height = rows.stop - rows.start
    assert len(found) == 2 * (height + 4), "a stroke for every edge of a pixel"
    upright = {float(x) for x, _, way in found if way == "v"}
    lying = {float(y) for _, y, way in found if way == "h"}
    assert upright == {2.5, 6.5} and lying == {rows.start - 0.5, rows.stop - 0.5}
    assert edges(np.zeros((4, 4), bool)) == ""
