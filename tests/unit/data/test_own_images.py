"""Images of one's own: what is done to them is said, and what is no image is a sentence."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from muse_core.data.decode import PADDING
from muse_core.data.own_images import BUILT_IN, image_from_bytes, own_images, pictures
from muse_core.errors import MuseError


def png(width: int, height: int, colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_built_in_photographs_need_no_network(name: str) -> None:
    found = own_images(name, 32)
    assert found.images.shape == (1, 3, 32, 32) and found.images.std() > 0.05
    assert found.names == (name,) and "reduced to 32 × 32" in found.notes[0]


def test_several_come_in_order_and_paths_mix_with_names(tmp_path) -> None:
    (tmp_path / "mine.png").write_bytes(png(40, 20))
    found = own_images(f"cat, {tmp_path / 'mine.png'}", 16)
    assert found.names == ("cat", "mine.png") and len(found.images) == 2


def test_a_path_with_a_comma_is_one_path(tmp_path) -> None:
    (tmp_path / "a, b.png").write_bytes(png(16, 16))
    assert own_images(str(tmp_path / "a, b.png"), 16).names == ("a, b.png",)


def test_a_wide_image_is_cut_or_padded_as_asked_and_it_is_said() -> None:
    cut, padded = (image_from_bytes("x.png", png(64, 32), 32, fit) for fit in ("crop", "pad"))
    red = torch.tensor([1.0, 0.0, 0.0])
    assert (
        torch.allclose(cut.images[0, :, 0, 0], red) and "cut to its centred square" in cut.notes[0]
    )
    assert (
        torch.allclose(padded.images[0, :, 16, 16], red)
        and "padded to a square with grey" in padded.notes[0]
    )
    assert torch.allclose(
        padded.images[0, :, 0, 0], torch.tensor(np.array(PADDING) / 255, dtype=torch.float32)
    )


def test_a_large_image_is_reduced_with_a_note() -> None:
    assert image_from_bytes("big.png", png(1600, 1250), 16).notes == (
        "big.png: 1,600 × 1,250 pixels, cut to its centred square, reduced to 16 × 16",
    )


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("text.png", b"not an image", "text.png cannot be used as an image"),
        ("empty.png", b"", "empty.png cannot be used"),
        ("dot.png", png(1, 1), "1 × 1 pixels, too few to look at"),
        ("line.png", png(400, 2), "400 × 2 pixels, too few"),
    ],
)
def test_what_is_no_image_is_a_sentence(name: str, content: bytes, words: str) -> None:
    with pytest.raises(MuseError, match=words):
        image_from_bytes(name, content, 32)


@pytest.mark.parametrize(
    ("words", "complaint"), [("nowhere.png", "no image file"), (" , ", "no image to look at")]
)
def test_what_is_not_there_is_a_sentence(words: str, complaint: str) -> None:
    with pytest.raises(MuseError, match=complaint):
        own_images(words, 32)


def test_an_unknown_fit_names_the_known() -> None:
    with pytest.raises(MuseError, match="crop, pad"):
        own_images("cat", 32, "stretch")


def test_pictures_of_any_kind_come_in_their_order(tmp_path) -> None:
    (tmp_path / "mine.png").write_bytes(png(40, 20))
    teal = Image.new("RGB", (20, 20), "teal")
    found = pictures([tmp_path / "mine.png", "cat", teal, np.array(teal), torch.rand(3, 9, 9)], 16)
    assert found.names == ("mine.png", "cat", "image 3", "image 4", "image 5")
    assert found.images.shape == (5, 3, 16, 16)
    assert torch.equal(found.images[2], found.images[3])
    assert found.notes[4] == "image 5: 9 × 9 pixels, enlarged to 16 × 16"


def test_one_picture_or_a_batch_of_them_needs_no_list() -> None:
    assert pictures(Image.new("L", (9, 9)), 16).images.shape == (1, 3, 16, 16)
    assert pictures(torch.rand(4, 3, 9, 9), 16).images.shape == (4, 3, 16, 16)


def test_an_open_image_is_turned_upright_and_stays_as_it_is(tmp_path) -> None:
    sideways = Image.new("RGB", (40, 40), "red")
    sideways.paste("blue", (0, 0, 20, 40))
    exif = sideways.getexif()
    # Its left is up.
    exif[0x0112] = 6
    sideways.save(tmp_path / "x.png", exif=exif)
    with Image.open(tmp_path / "x.png") as opened:
        before = opened.tobytes()
        found = pictures(opened, 8).images[0]
        assert opened.tobytes() == before and opened.getexif()[0x0112] == 6
    assert torch.equal(found, pictures(tmp_path / "x.png", 8).images[0])
    top, bottom = found[:, 0, 4], found[:, -1, 4]
    assert top[2] > 0.9 and bottom[0] > 0.9


@pytest.mark.parametrize("given", [7, None, {"a": 1}, [b"bytes"]])
def test_what_is_no_picture_is_a_sentence(given) -> None:
    with pytest.raises(MuseError, match=r"image 1 is a .* and no picture: give a path"):
        pictures(given, 8)
