import numpy as np
import pytest

from muse_core.errors import MuseError
from muse_core.figures.attention_overlay import (
    attention_atlas,
    attention_comparison,
    saliency_comparison,
)
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
    sheet = np.asarray(
        attention_comparison(IMAGE, {"one": looking(7, 12)}, GRID, [12]).figure.data[0].z
    )
    assert (sheet == 255).all(), (
        "patch 12 looks everywhere alike; only its column holds the planted key"
    )


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
    sheet = np.asarray(
        attention_comparison(IMAGE, {"a": looking(7, 12), "b": faint}, GRID, [7]).figure.data[0].z
    )
    assert sheet[:, 6:].max() == 128


def test_the_atlas_puts_layers_down_and_heads_across():
    maps = np.stack(
        [np.stack([looking(7, layer * 4 + head) for head in range(4)]) for layer in range(2)]
    )
    figure = attention_atlas(maps, GRID, 7).figure
    sheet = np.asarray(figure.data[0].z)
    assert sheet.dtype == np.uint8
    for layer, head in np.ndindex(2, 4):
        tile = sheet[layer * 4 : layer * 4 + 3, head * 6 : head * 6 + 5]
        assert tile.argmax() == layer * 4 + head


def test_gaps_and_nan_are_left_white():
    maps = looking(7, 12)
    maps[7, 0] = np.nan
    sheet = np.asarray(
        attention_comparison(IMAGE, {"a": maps, "b": looking(7, 1)}, GRID, [7]).figure.data[0].z
    )
    assert sheet[0, 0] == 0 and (sheet[:, 5] == 0).all() and (sheet == 0).sum() == 1 + 3


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
    axes = saliency_comparison(images, values).still.axes
    for at, (row, column), (height, width) in [
        (1, (1, 4), (10, 10)),
        (2, (5, 1), (5, 25)),
        (4, (2, 0), (10, 10)),
        (5, (0, 0), (5, 25)),
    ]:
        overlay = np.asarray(axes[at].images[0].get_array()).astype(int).sum(-1)
        bright = np.argwhere(overlay == overlay.max())
        assert bright.min(0).tolist() == [row * height, column * width]
        assert bright.max(0).tolist() == [(row + 1) * height - 1, (column + 1) * width - 1]


def test_a_faint_saliency_map_is_as_bright_as_a_strong_one_and_says_how_large_it_is():
    values = {"strong": planted(1, GRID, (0, 0)), "faint": planted(1, GRID, (0, 0), value=0.002)}
    still = saliency_comparison(IMAGE[None], values).still
    strong, faint = (np.asarray(place.images[0].get_array()) for place in still.axes[1:3])
    assert np.array_equal(strong, faint)
    assert [place.get_xlabel() for place in still.axes[1:3]] == ["largest 1", "largest 0.002"]
    assert "own largest" in still.axes[-1].get_xlabel()


def test_saliency_of_zeros_and_gaps_is_drawn_and_its_largest_is_not_invented():
    nothing, gap = np.zeros((1, *GRID)), planted(1, GRID, (2, 2))
    gap[0, 0, 0] = np.nan
    still = saliency_comparison(IMAGE[None], {"nothing": nothing, "gap": gap}, "Title").still
    assert [place.get_xlabel() for place in still.axes[1:3]] == ["largest 0", "largest 1"]
    assert still.get_suptitle() == "Title"


def test_six_images_and_seven_labels_fit_a_page_without_touching():
    labels = ["topology teacher (DINOv3)", *(f"MUSE, after stage {at}" for at in (1, 2, 3))]
    labels += [
        "frozen backbone (InternViT)",
        "shared routing, after stage 3",
        "an untrained student with random weights",
    ]
    values = {label: planted(6, GRID) for label in labels}
    still = saliency_comparison(
        np.stack([IMAGE] * 6), values, "A title long enough to need two lines " * 3
    ).still
    still.draw_without_rendering()
    assert len(still.axes) == 6 * 8 + 1 and still.get_figwidth() <= 9.6
    texts = [
        text for place in still.axes for text in (place.title, place.xaxis.label) if text.get_text()
    ]
    boxes = [text.get_window_extent() for text in (*texts, still._suptitle)]
    boxes += [image.get_window_extent() for place in still.axes[:-1] for image in place.images]
    assert not [
        (one, other) for at, one in enumerate(boxes) for other in boxes[:at] if one.overlaps(other)
    ]


@pytest.mark.parametrize(
    ("images", "values", "words"),
    [
        (1, {}, "at least one image and one label"),
        (0, {"a": np.zeros((0, 3, 5))}, "at least one image and one label"),
        (2, {"a": np.zeros((3, 3, 5))}, r"'a' have shape \(3, 3, 5\).*for 2 images"),
        (2, {"a": np.zeros((2, 15))}, r"\(images, rows, columns\)"),
        (2, {"a": np.zeros((2, 3, 0))}, r"\(images, rows, columns\)"),
    ],
)
def test_saliency_that_does_not_fit_its_images_is_refused(images, values, words):
    with pytest.raises(MuseError, match=words):
        saliency_comparison(np.zeros((images, 30, 50, 3)), values)


def test_a_map_of_zeros_is_drawn():
    assert heated(np.zeros((6, 6, 3), np.uint8), np.zeros((2, 3)), 1.0).shape == (6, 6, 3)


@pytest.mark.parametrize(
    ("grid", "query", "words"), [((4, 4), 0, "needs 16"), (GRID, 15, "choose 0 to 14")]
)
def test_what_does_not_fit_is_refused(grid, query, words):
    with pytest.raises(MuseError, match=words):
        attention_comparison(IMAGE, {"one": looking(7, 12)}, grid, [query])
