import numpy as np
import pytest

from muse_core.errors import MuseError
from muse_core.figures.image_grids import CLASS_COLOURS, class_colour, overlaid, pixels
from muse_core.figures.segmentation_maps import segmentation_overlays

NAMES = ["sky", "road", "a car"]
IMAGES = np.random.default_rng(0).random((2, 6, 8, 3), dtype=np.float32)
TRUTH = np.zeros((2, 6, 8), int)
TRUTH[0, :2], TRUTH[1, 3:] = 1, 255
PREDICTED = np.zeros((2, 6, 8), int)
PREDICTED[1, 3:] = 2


def drawn(picture) -> list[np.ndarray]:
    return [np.asarray(axes.images[0].get_array()) for axes in picture.still.axes]


def legend(picture) -> list[str]:
    return [text.get_text() for legend in picture.still.legends for text in legend.get_texts()]


def test_rows_are_images_truth_and_prediction():
    picture = segmentation_overlays(IMAGES, TRUTH, PREDICTED, NAMES, [0.5, 0.25])
    tiles, shown = pixels(IMAGES), drawn(picture)
    assert picture.figure is None
    assert np.array_equal(shown[1], tiles[1])
    assert np.array_equal(shown[2], overlaid(tiles[0], TRUTH[0]))
    assert np.array_equal(shown[5], overlaid(tiles[1], PREDICTED[1])), (
        "void is no hole in the prediction"
    )
    assert [picture.still.axes[at].get_ylabel() for at in (0, 2, 4)] == [
        "image",
        "truth",
        "prediction",
    ]


def test_the_miou_stands_under_its_prediction():
    picture = segmentation_overlays(IMAGES, TRUTH, PREDICTED, NAMES, [0.7345, float("nan")])
    assert [axes.get_xlabel() for axes in picture.still.axes] == [
        "",
        "",
        "",
        "",
        "mIoU 73.5 %",
        "no mIoU",
    ]


def test_void_is_grey_in_the_truth():
    shown = drawn(segmentation_overlays(np.zeros_like(IMAGES), TRUTH, PREDICTED, NAMES, [0, 0]))
    assert len(set(shown[3][5, 5].tolist())) == 1 and shown[3][5, 5, 0] > 0
    assert len(set(shown[5][5, 5].tolist())) == 3


def test_the_background_is_what_the_data_says():
    with_it = segmentation_overlays(np.zeros_like(IMAGES), TRUTH, PREDICTED, NAMES, [0, 0])
    without = segmentation_overlays(
        np.zeros_like(IMAGES), TRUTH, PREDICTED, NAMES, [0, 0], background=None
    )
    assert legend(with_it) == ["road", "a car", "unlabelled"]
    assert legend(without) == ["sky", "road", "a car", "unlabelled"]
    assert not drawn(with_it)[4].any() and drawn(without)[4].all(axis=(0, 1)).any()


def test_a_tinted_class_0_has_a_colour_of_its_own():
    colours = {tuple(class_colour(value)) for value in range(len(CLASS_COLOURS))}
    assert len(colours) == len(CLASS_COLOURS)


def test_one_image_of_background_has_no_legend():
    nothing = np.zeros((1, 6, 8), int)
    picture = segmentation_overlays(IMAGES[:1], nothing, nothing, NAMES, [1.0], title="Empty")
    picture.still.canvas.draw()
    assert legend(picture) == [] and picture.still.get_suptitle() == "Empty"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"truth": TRUTH[:, :3]}, "Truth of shape"),
        ({"predicted": PREDICTED[:1]}, "Prediction of shape"),
        ({"ious": [0.5]}, "1 mIoUs for 2 images"),
        ({"images": IMAGES[0]}, "cannot be drawn"),
        (
            {"images": IMAGES[:0], "truth": TRUTH[:0], "predicted": PREDICTED[:0], "ious": []},
            "no image",
        ),
    ],
)
def test_what_does_not_fit_is_refused(changed, words):
    good = {
        "images": IMAGES,
        "truth": TRUTH,
        "predicted": PREDICTED,
        "class_names": NAMES,
        "ious": [0.5, 0.5],
    }
    with pytest.raises(MuseError, match=words):
        segmentation_overlays(**good | changed)
