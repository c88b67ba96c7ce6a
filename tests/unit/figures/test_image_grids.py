import numpy as np
import pytest

from muse_core.errors import MuseError
from muse_core.figures.image_grids import (
    image_grid,
    mask_overlay,
    overlaid,
    pixels,
    reconstruction_grid,
)


def images(count: int = 3, height: int = 8, width: int = 12) -> np.ndarray:
    return np.random.default_rng(0).random((count, height, width, 3), dtype=np.float32)


def drawn(picture) -> list[np.ndarray]:
    return [np.asarray(axes.images[0].get_array()) for axes in picture.still.axes if axes.images]


def test_channels_first_and_last_give_the_same_pixels():
    assert np.array_equal(pixels(images()), pixels(images().transpose(0, 3, 1, 2)))


def test_values_outside_the_range_and_nan_are_tolerated():
    odd = images()
    odd[0, 0, 0] = [np.nan, -1.0, 2.0]
    assert pixels(odd)[0, 0, 0].tolist() == [0, 0, 255]


def test_the_grid_shows_images_in_reading_order_with_captions():
    picture = image_grid(images(5), ["first", "second"], columns=2)
    assert all(
        np.array_equal(tile, image)
        for tile, image in zip(drawn(picture), pixels(images(5)), strict=True)
    )
    assert [axes.get_xlabel() for axes in picture.still.axes[:3]] == ["first", "second", ""]


def test_reconstruction_rows_are_input_reconstruction_and_amplified_error():
    inputs, reconstructions = np.zeros((2, 8, 8, 3)), np.zeros((2, 8, 8, 3))
    reconstructions[1, 2, 3, 0] = 0.2
    picture = reconstruction_grid(inputs, reconstructions, [40.0, float("nan")], gain=4)
    error = drawn(picture)[5]
    assert error[2, 3, 0] == 51 * 4
    assert error.sum() == 51 * 4
    assert [picture.still.axes[at].get_ylabel() for at in (0, 2, 4)] == [
        "input",
        "reconstruction",
        "|error| × 4",
    ]


def test_masks_tint_their_class_and_leave_the_background():
    image, mask = np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), int)
    mask[1, 2], mask[3, 5] = 1, 255
    out = overlaid(image, mask, opacity=1.0)
    assert out[1, 2].tolist() == [0x44, 0x77, 0xAA]
    assert out[3, 5].tolist() == [0x99] * 3
    assert out.sum() == out[1, 2].sum() + out[3, 5].sum()


def test_the_legend_names_the_classes_that_are_there():
    masks = np.zeros((3, 8, 12), int)
    masks[0, 0, 0], masks[1, 0, 0] = 2, 255
    (legend,) = mask_overlay(images(), masks, ["background", "cat", "dog"]).still.legends
    assert [text.get_text() for text in legend.get_texts()] == ["dog", "unlabelled"]


@pytest.mark.parametrize("shape", [(8, 8, 3), (2, 8, 8, 1)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(MuseError, match="cannot be drawn"):
        image_grid(np.zeros(shape))
