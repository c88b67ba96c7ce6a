"""A notebook's cover: a small picture of what it shows, taken from the outputs of its executed
copy.
"""

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from PIL import Image

WIDTH = 480
"""Pixels of a cover's width, at most."""
QUALITY = 84


@dataclass(frozen=True)
class Cover:
    """An encoded picture with its size in pixels; ``kind`` is "webp" or "png", ``alt`` says in
    words what it shows.
    """

    data: bytes
    kind: str
    alt: str
    width: int
    height: int

    @property
    def uri(self) -> str:
        return f"data:image/{self.kind};base64,{base64.b64encode(self.data).decode('ascii')}"


def cover(notebook: dict[str, Any]) -> Cover | None:
    """The picture that was published as cover, else the first one published; None where none can be
    read.
    """
    shown = sorted(
        _published(notebook), key=lambda output: output["metadata"]["muse"].get("cover") is not True
    )
    return next((found for found in map(_cover, shown) if found), None)


def _published(notebook: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The outputs of `publish.show`, in order."""
    outputs = (output for cell in notebook.get("cells", []) for output in cell.get("outputs", []))
    for output in outputs:
        if isinstance(output.get("metadata", {}).get("muse"), dict) and "image/png" in output.get(
            "data", {}
        ):
            yield output


def _cover(output: dict[str, Any]) -> Cover | None:
    try:
        png = base64.b64decode("".join(output["data"]["image/png"]))
        image = on_white(Image.open(io.BytesIO(png)))
    except (
        OSError,
        ValueError,
        SyntaxError,
        Image.DecompressionBombError,
    ):  # what Pillow raises for damaged files
        return None
    image.thumbnail((WIDTH, WIDTH * 2), Image.Resampling.LANCZOS)
    data, kind = min(
        ((_encoded(image, kind), kind) for kind in ("webp", "png")), key=lambda one: len(one[0])
    )
    return Cover(data, kind, output["metadata"]["muse"].get("alt", ""), *image.size)


def on_white(image: Image.Image) -> Image.Image:
    """The picture without transparency, on the white paper that figures are drawn for."""
    paper = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(paper, image.convert("RGBA")).convert("RGB")


def _encoded(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(
        buffer,
        **{"webp": {"format": "WEBP", "quality": QUALITY, "method": 6}, "png": {"format": "PNG"}}[
            kind
        ],
    )
    return buffer.getvalue()
