"""Arrays and tensors as images: whichever end the channels are at, and a sentence for others."""

import numpy as np
import pytest
import torch

from muse_core.data.image_arrays import picture_of
from muse_core.errors import MuseError

RED = np.zeros((5, 6, 3), np.uint8)
RED[..., 0] = 255


@pytest.mark.parametrize(
    "array",
    [
        RED,
        RED.transpose(2, 0, 1),
        RED.astype(np.float32) / 255,
        torch.from_numpy(RED),
        torch.from_numpy(RED).permute(2, 0, 1),
        torch.from_numpy(RED).permute(2, 0, 1).bfloat16() / 255,
        torch.from_numpy(RED).permute(2, 0, 1).double().requires_grad_() / 255,
    ],
    ids=[
        "bytes",
        "channels first",
        "floats",
        "tensor",
        "tensor first",
        "bfloat16",
        "with gradient",
    ],
)
def test_an_array_is_the_image_it_holds(array) -> None:
    assert np.array_equal(np.asarray(picture_of("x", array)), RED)


@pytest.mark.parametrize(
    ("shape", "mode"), [((4, 6), "L"), ((4, 6, 1), "L"), ((1, 4, 6), "L"), ((4, 6, 4), "RGBA")]
)
def test_grey_and_transparency_are_known_by_their_channels(shape, mode: str) -> None:
    picture = picture_of("x", np.zeros(shape, np.uint8))
    assert (picture.mode, picture.size) == (mode, (6, 4))


def test_where_both_ends_could_be_channels_a_tensor_has_them_first_and_an_array_last() -> None:
    both = np.zeros((3, 8, 3), np.uint8)
    assert picture_of("x", both).size == (8, 3)
    assert picture_of("x", torch.from_numpy(both)).size == (3, 8)


def test_a_number_a_little_outside_is_rounded_in() -> None:
    picture = picture_of("x", np.array([[-0.001, 1.001]]))
    assert np.asarray(picture).tolist() == [[0, 255]]


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((5, 6, 2)), r"x is an array of shape \(5, 6, 2\)"),
        (np.zeros(5), "is an array of shape"),
        (np.zeros((0, 6, 3)), "is an array of shape"),
        (np.full((4, 6), -2.1), "holds float64 from -2.1 to -2.1: give bytes"),
        (np.full((4, 6), np.nan), "from nan to nan"),
        (torch.full((3, 4, 6), 300), "holds int64 from 300 to 300"),
    ],
)
def test_what_holds_no_image_is_a_sentence(array, words: str) -> None:
    with pytest.raises(MuseError, match=words):
        picture_of("x", array)
