"""Attention over images: bright where the planted key is, rows are queries, each scale its own."""

import numpy as np
import pytest

from muse_core.errors import MuseError
from muse_core.figures.attention_overlay import (
    attention_atlas,
    attention_comparison,
    heated,
    saliency_comparison,
)

GRID = (3, 5)
IMAGE = np.full((30, 50, 3), 0.5, dtype=np.float32)


def looking(query: int, key: int) -> np.ndarray:
    """A uniform map, but ``query`` looks at ``key`` alone."""
    patches = GRID[0] * GRID[1]
    maps = np.full((patches, patches), 1 / patches, dtype=np.float32)
    maps[query] = 0
    maps[query, key] = 1
    return maps


def brightest(image: np.ndarray) -> tuple[list[int], list[int]]:
    """First and last pixel (row, column) among the brightest."""
    light = image.astype(int).sum(-1)
    places = np.argwhere(light == light.max())
    return places.min(0).tolist(), places.max(0).tolist()


def tiles(picture) -> list:
    return [panel.marks[0] for panel in picture.panels]


def test_the_overlay_is_bright_where_the_key_is_and_the_query_is_ringed():
    query, over = tiles(attention_comparison(IMAGE, {"one": looking(7, 12)}, GRID, [7]))
    assert brightest(over.image) == ([20, 20], [29, 29])
    assert list(query.rings) == [(24.5, 14.5)] == list(over.rings)


def test_a_row_of_the_map_is_the_query_not_the_key():
    _, over = tiles(attention_comparison(IMAGE, {"one": looking(7, 12)}, GRID, [12]))
    assert brightest(over.image) == ([0, 0], [29, 49]), "patch 12 looks everywhere alike"


def test_one_scale_a_row_makes_maps_comparable():
    maps = {"a": looking(7, 12), "b": looking(7, 12) * 0.5}
    _, strong, faint = tiles(attention_comparison(IMAGE, maps, GRID, [7]))
    assert strong.image.sum() > faint.image.sum()


def test_the_atlas_puts_layers_down_and_heads_across_with_white_between():
    maps = np.stack(
        [np.stack([looking(7, layer * 4 + head) for head in range(4)]) for layer in range(2)]
    )
    maps[0, 0, 7, 1] = np.nan
    heat, rings = attention_atlas(maps, GRID, 7).panels[0].marks
    assert heat.z.shape == (7, 23) and (heat.low, heat.high) == (0, 1)
    for layer, head in np.ndindex(2, 4):
        tile = heat.z[layer * 4 : layer * 4 + 3, head * 6 : head * 6 + 5]
        assert np.nanargmax(tile) == layer * 4 + head and np.nanmax(tile) == 1
    assert np.isnan([heat.z[0, 1], *heat.z[:, 5], *heat.z[3]]).all()
    assert (rings.x[0], rings.y[0], rings.x[-1], rings.y[-1]) == (2, 1, 20, 5)


def planted(
    count: int, grid: tuple[int, int], *places: tuple[int, int], value: float = 1.0
) -> np.ndarray:
    """Maps (count, *grid) that are ``value`` at the image's place and a tenth of it elsewhere."""
    maps = np.full((count, *grid), value / 10)
    for image, place in enumerate(places):
        maps[(image, *place)] = value
    return maps


def test_each_saliency_map_is_brightest_where_it_is_largest_whatever_its_grid():
    """Two images of 30 × 50 pixels under maps of 3 × 5 and of 6 × 2 patches."""
    images = np.stack([IMAGE, IMAGE]).transpose(0, 3, 1, 2)
    values = {
        "coarse": planted(2, (3, 5), (1, 4), (2, 0)),
        "fine": planted(2, (6, 2), (5, 1), (0, 0)),
    }
    shown = tiles(saliency_comparison(images, values))
    for at, (row, column), (height, width) in [
        (1, (1, 4), (10, 10)),
        (2, (5, 1), (5, 25)),
        (4, (2, 0), (10, 10)),
        (5, (0, 0), (5, 25)),
    ]:
        last = [(row + 1) * height - 1, (column + 1) * width - 1]
        assert brightest(shown[at].image) == ([row * height, column * width], last)


def test_a_faint_saliency_map_is_as_bright_as_a_strong_one_and_says_how_large_it_is():
    values = {"strong": planted(1, GRID, (0, 0)), "faint": planted(1, GRID, (0, 0), value=0.002)}
    picture = saliency_comparison(IMAGE[None], values)
    _, strong, faint = tiles(picture)
    assert np.array_equal(strong.image, faint.image)
    assert [panel.x.words for panel in picture.panels[1:]] == ["largest 1", "largest 0.002"]
    assert "own largest" in picture.bar


def test_zeros_and_gaps_are_drawn_and_their_largest_is_not_invented():
    nothing, gap = np.zeros((1, *GRID)), planted(1, GRID, (2, 2))
    gap[0, 0, 0] = np.nan
    picture = saliency_comparison(IMAGE[None], {"nothing": nothing, "gap": gap})
    assert [panel.x.words for panel in picture.panels[1:]] == ["largest 0", "largest 1"]
    assert heated(np.zeros((6, 6, 3), np.uint8), np.zeros((2, 3)), 1.0).shape == (6, 6, 3)


@pytest.mark.parametrize(
    ("images", "values", "words"),
    [
        (2, {"a": np.zeros((3, 3, 5))}, r"'a' have shape \(3, 3, 5\).*for 2 images"),
        (2, {"a": np.zeros((2, 3, 0))}, r"\(images, rows, columns\)"),
    ],
)
def test_saliency_that_does_not_fit_its_images_is_refused(images, values, words):
    with pytest.raises(MuseError, match=words):
        saliency_comparison(np.zeros((images, 30, 50, 3)), values)


@pytest.mark.parametrize(
    ("grid", "query", "words"), [((4, 4), 0, "needs 16"), (GRID, 15, "choose 0 to 14")]
)
def test_what_does_not_fit_is_refused(grid, query, words):
    with pytest.raises(MuseError, match=words):
        attention_comparison(IMAGE, {"one": looking(7, 12)}, grid, [query])
