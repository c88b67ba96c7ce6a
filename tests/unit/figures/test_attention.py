import numpy as np
import pytest

from muse_core.errors import MuseError
from muse_core.figures.attention import attention_atlas, attention_comparison, saliency_comparison
from muse_core.figures.overlays import heated

GRID = (3, 5)
IMAGE = np.full((30, 50, 3), 0.5, dtype=np.float32)


def looking(query: int, key: int) -> np.ndarray:
    """A uniform map, but ``query`` looks at ``key`` alone."""
    patches = GRID[0] * GRID[1]
    maps = np.full((patches, patches), 1 / patches, dtype=np.float32)
    maps[query] = 0
    maps[query, key] = 1
    return maps


def test_the_planted_key_is_the_brightest_patch_of_the_right_tile():
    maps = {"teacher": looking(7, 12), "student": looking(7, 3)}
    sheet = np.asarray(attention_comparison(IMAGE, maps, GRID, [7]).figure.data[0].z)
    assert sheet.shape == (3, 5 + 1 + 5)
    assert sorted(map(tuple, np.argwhere(sheet == 255))) == [(0, 6 + 3), (2, 2)]


def test_a_row_of_the_map_is_the_query_not_the_key():
    sheet = np.asarray(attention_comparison(IMAGE, {"one": looking(7, 12)}, GRID, [12]).figure.data[0].z)
    assert (sheet == 255).all(), "patch 12 looks everywhere alike; only its column holds the planted key"


def test_the_overlay_is_bright_where_the_key_is():
    picture = attention_comparison(IMAGE, {"one": looking(7, 12)}, GRID, [7])
    overlay = np.asarray(picture.still.axes[1].images[0].get_array()).astype(int).sum(-1)
    row, column = np.unravel_index(overlay.argmax(), overlay.shape)
    assert (row // 10, column // 10) == divmod(12, 5)


def test_the_query_is_marked_in_the_middle_of_its_patch():
    (ring,) = attention_comparison(IMAGE, {"one": looking(7, 12)}, GRID, [7]).still.axes[0].lines
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (24.5, 14.5)


def test_one_scale_a_row_makes_maps_comparable():
    faint = looking(7, 3) * 0.5
    sheet = np.asarray(attention_comparison(IMAGE, {"a": looking(7, 12), "b": faint}, GRID, [7]).figure.data[0].z)
    assert sheet[:, 6:].max() == 128


def test_the_atlas_puts_layers_down_and_heads_across():
    maps = np.stack([np.stack([looking(7, layer * 4 + head) for head in range(4)]) for layer in range(2)])
    figure = attention_atlas(maps, GRID, 7).figure
    sheet = np.asarray(figure.data[0].z)
    assert sheet.dtype == np.uint8
    for layer, head in np.ndindex(2, 4):
        tile = sheet[layer * 4 : layer * 4 + 3, head * 6 : head * 6 + 5]
        assert tile.argmax() == layer * 4 + head


def test_gaps_and_nan_are_left_white():
    maps = looking(7, 12)
    maps[7, 0] = np.nan
    sheet = np.asarray(attention_comparison(IMAGE, {"a": maps, "b": looking(7, 1)}, GRID, [7]).figure.data[0].z)
    assert sheet[0, 0] == 0 and (sheet[:, 5] == 0).all() and (sheet == 0).sum() == 1 + 3


def test_saliency_is_brightest_where_it_was_planted_on_any_grid():
    values = {"coarse": np.zeros((1, 3, 5)), "fine": np.zeros((1, 6, 10))}
    values["coarse"][0, 1, 4], values["fine"][0, 5, 2] = 2.0, 1.0
    places = saliency_comparison(IMAGE[None], values).still.axes[1:3]
    for place, (cell, planted) in zip(places, [(10, (1, 4)), (5, (5, 2))], strict=True):
        overlay = np.asarray(place.images[0].get_array()).astype(int).sum(-1)
        row, column = np.unravel_index(overlay.argmax(), overlay.shape)
        assert (row // cell, column // cell) == planted


def test_saliency_needs_a_map_an_image():
    with pytest.raises(MuseError):
        saliency_comparison(IMAGE[None], {"two": np.zeros((2, 3, 5))})


def test_a_map_of_zeros_is_drawn():
    assert heated(np.zeros((6, 6, 3), np.uint8), np.zeros((2, 3)), 1.0).shape == (6, 6, 3)


@pytest.mark.parametrize(("grid", "query", "words"), [((4, 4), 0, "needs 16"), (GRID, 15, "choose 0 to 14")])
def test_what_does_not_fit_is_refused(grid, query, words):
    with pytest.raises(MuseError, match=words):
        attention_comparison(IMAGE, {"one": looking(7, 12)}, grid, [query])
