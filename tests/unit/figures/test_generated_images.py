"""Grids, strips and edits: every image is there with its words, and unequal lengths are a sentence."""

import numpy as np
import pytest

from muse_core.errors import MuseError
from muse_core.figures.generated_images import edit_strip, sample_grid, sample_strips


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).random((count, 3, 8, 8))


def drawn(picture) -> int:
    return sum(len(axes.images) for axes in picture.still.axes)


def test_a_grid_shows_every_image_with_its_prompt() -> None:
    picture = sample_grid(images(5), [f"a star {k}" for k in range(5)], "samples", columns=3)
    assert drawn(picture) == 5 and picture.figure is None
    assert {axes.get_title() for axes in picture.still.axes} >= {f"a star {k}" for k in range(5)}


def test_strips_name_their_rows() -> None:
    picture = sample_strips(
        {"step 1": images(4), "step 2": images(4)}, "along", ["a", "b", "c", "d"]
    )
    assert drawn(picture) == 8
    assert {axes.get_ylabel() for axes in picture.still.axes} - {""} == {"step 1", "step 2"}


def test_edits_outline_the_mask_on_every_image() -> None:
    mask = np.zeros((3, 8, 8), bool)
    mask[:, 2:5, 2:5] = True
    picture = edit_strip({"image": images(3), "edited": images(3)}, mask, "edits")
    assert drawn(picture) == 6 and all(axes.collections for axes in picture.still.axes)


def test_unequal_lengths_are_sentences() -> None:
    with pytest.raises(MuseError, match="3 images and 1 prompts"):
        sample_grid(images(3), ["a star"], "samples")
    with pytest.raises(MuseError, match="equally many"):
        sample_strips({"a": images(2), "b": images(3)}, "along")
    with pytest.raises(MuseError, match="a mask for every image"):
        edit_strip({"image": images(2)}, np.zeros((1, 8, 8), bool), "edits")
