"""Images: every one there with its words, masks in the legend's colours, misfits a sentence."""

import numpy as np
import pytest

from muse_core.errors import MuseError
from muse_core.figures.images import (
    CLASS_COLOURS,
    class_colour,
    edit_strip,
    image_grid,
    mask_overlay,
    overlaid,
    pixels,
    reconstruction_grid,
    sample_strips,
    segmentation_overlays,
)

NAMES = ["sky", "road", "a car"]
TRUTH = np.zeros((2, 8, 12), int)
TRUTH[0, :2], TRUTH[1, 3:] = 1, 255
PREDICTED = np.zeros((2, 8, 12), int)
PREDICTED[1, 3:] = 2


def images(count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).random((count, 8, 12, 3), dtype=np.float32)


def drawn(picture) -> list[np.ndarray]:
    return [panel.marks[0].image for panel in picture.panels]


def captions(picture) -> list[str]:
    return [panel.x.words for panel in picture.panels]


def names(picture) -> list[str]:
    return [panel.y.words for panel in picture.panels if panel.y.words]


def test_channels_first_and_last_give_the_same_pixels():
    assert np.array_equal(pixels(images()), pixels(images().transpose(0, 3, 1, 2)))


def test_values_outside_the_range_and_nan_are_tolerated():
    odd = images()
    odd[0, 0, 0] = [np.nan, -1.0, 2.0]
    assert pixels(odd)[0, 0, 0].tolist() == [0, 0, 255]


def test_a_grid_shows_images_in_reading_order_with_captions():
    picture = image_grid(images(5), ["first", "second", "third"], columns=2)
    assert np.array_equal(drawn(picture), pixels(images(5)))
    assert captions(picture) == ["first", "second", "third", "", ""]
    assert picture.figure is None and len(picture.still.axes) == 6


def test_reconstruction_rows_are_input_reconstruction_and_amplified_error():
    inputs, reconstructions = np.zeros((2, 8, 8, 3)), np.zeros((2, 8, 8, 3))
    reconstructions[1, 2, 3, 0] = 0.2
    picture = reconstruction_grid(inputs, reconstructions, [40.0, float("nan")], gain=4)
    assert drawn(picture)[5][2, 3, 0] == 51 * 4 == drawn(picture)[5].sum()
    assert names(picture) == ["input", "output", "|error| × 4"]
    assert captions(picture)[2:4] == ["40.0 dB", "no PSNR"]


def test_masks_tint_their_class_and_leave_the_background():
    white, mask = np.full((4, 6, 3), 255, np.uint8), np.zeros((4, 6), int)
    mask[1, 2], mask[3, 5] = 1, 255
    out = overlaid(white, mask)
    assert out[1, 2].tolist() == [0x44, 0x77, 0xAA] and out[3, 5].tolist() == [0x99] * 3
    assert (out == 255).all(-1).sum() == 22
    assert overlaid(white, mask, background=None)[0, 0].tolist() != [255] * 3


def test_the_legend_names_the_classes_that_are_there():
    masks = np.zeros((3, 8, 12), int)
    masks[0, 0, 0], masks[1, 0, 0] = 2, 255
    picture = mask_overlay(images(), masks, ["background", "cat", "dog"])
    assert picture.key == {"dog": class_colour(2), "unlabelled": "#999999"}
    assert len({class_colour(value) for value in range(len(CLASS_COLOURS))}) == len(CLASS_COLOURS)


def test_segmentation_rows_are_images_truth_and_prediction_with_their_miou():
    shown = segmentation_overlays(images(2), TRUTH, PREDICTED, NAMES, [0.7345, float("nan")])
    tiles = pixels(images(2))
    assert np.array_equal(drawn(shown)[1], tiles[1])
    assert np.array_equal(drawn(shown)[2], overlaid(tiles[0], TRUTH[0]))
    assert np.array_equal(drawn(shown)[5], overlaid(tiles[1], PREDICTED[1]))
    assert captions(shown) == ["", "", "", "", "mIoU 73.5 %", "no mIoU"]
    assert list(shown.key) == ["road", "a car", "unlabelled"]
    tinted = segmentation_overlays(images(2), TRUTH, PREDICTED, NAMES, [0, 0], background=None)
    assert list(tinted.key) == ["sky", "road", "a car", "unlabelled"]


def test_one_image_of_background_has_no_legend():
    nothing = np.zeros((1, 8, 12), int)
    picture = segmentation_overlays(images(1), nothing, nothing, NAMES, [1.0])
    assert picture.key == {} and picture.still.legends == []


def test_strips_name_their_rows():
    picture = sample_strips({"step 1": images(2), "step 2": images(2)}, "along")
    assert len(drawn(picture)) == 4 and names(picture) == ["step 1", "step 2"]


def test_edits_outline_the_mask_on_every_image():
    picture = edit_strip({"image": images(2), "edited": images(2)}, TRUTH > 0, "edits")
    outlines = [panel.marks[0].outline for panel in picture.panels]
    assert np.array_equal(outlines, np.concatenate([TRUTH > 0] * 2))


GOOD = {"images": images(2), "truth": TRUTH, "predicted": PREDICTED, "class_names": NAMES}


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: image_grid(np.zeros((8, 8, 3))), "cannot be drawn"),
        (lambda: image_grid(np.zeros((2, 8, 8, 1))), "cannot be drawn"),
        (lambda: sample_strips({"a": images(2), "b": images(3)}, "t"), "equally many"),
        (lambda: reconstruction_grid(images(2), images(1), []), "differ in shape"),
        (lambda: segmentation_overlays(**GOOD, ious=[0.5]), "1 mIoUs for 2 images"),
    ],
)
def test_what_does_not_fit_is_a_sentence(draw, words):
    with pytest.raises(MuseError, match=words):
        draw()
