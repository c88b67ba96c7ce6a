"""Covers: the picture that was chosen, else the first; small, opaque, and never a traceback."""

import io
from typing import Any

import nbformat
import pytest
from PIL import Image

from muse_core.report.covers import WIDTH, cover

from .executed import picture, png


def notebook(*outputs: Any) -> dict[str, Any]:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1", outputs=list(outputs))])


def test_the_first_picture_is_the_cover_unless_another_was_chosen() -> None:
    first, second = picture("first", cover=False), picture("second", cover=False)
    assert cover(notebook(first, second)).alt == "first"
    assert cover(notebook(first, second, picture("chosen", cover=True))).alt == "chosen"


def test_a_picture_that_was_not_published_is_no_cover() -> None:
    plain = picture("a live curve")
    del plain.metadata["muse"]
    assert cover(notebook(plain)) is None and cover({}) is None


def test_a_cover_is_small_and_keeps_its_shape() -> None:
    found = cover(notebook(picture("wide", png(2000, 1000))))
    assert (
        (found.width, found.height)
        == (WIDTH, WIDTH // 2)
        == Image.open(io.BytesIO(found.data)).size
    )
    assert found.kind in ("webp", "png") and found.uri.startswith(
        f"data:image/{found.kind};base64,"
    )


def test_a_small_picture_is_not_enlarged() -> None:
    assert cover(notebook(picture("small", png(40, 20)))).width == 40


def test_the_smaller_encoding_is_taken() -> None:
    noise = io.BytesIO()
    Image.effect_noise((300, 300), 90).convert("RGB").save(noise, format="PNG")
    assert cover(notebook(picture("noise", noise.getvalue()))).kind == "webp"


def test_transparency_becomes_paper() -> None:
    buffer = io.BytesIO()
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(buffer, format="PNG")
    found = Image.open(
        io.BytesIO(cover(notebook(picture("clear", buffer.getvalue()))).data)
    ).convert("RGB")
    assert min(found.getpixel((4, 4))) > 250


@pytest.mark.parametrize(
    "damaged", [b"\x89PNG\r\n\x1a\nnothing", b"no picture", png(400, 400)[:60]]
)
def test_a_damaged_picture_is_passed_over(damaged: bytes) -> None:
    assert cover(notebook(picture("damaged", damaged))) is None
    assert cover(notebook(picture("damaged", damaged), picture("sound"))).alt == "sound"


def test_base64_in_lines_is_read() -> None:
    output = picture("lines")
    output.data["image/png"] = [
        line + "\n" for line in (output.data["image/png"][:20], output.data["image/png"][20:])
    ]
    assert cover(notebook(output)).alt == "lines"
