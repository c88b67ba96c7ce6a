"""The picture that stands for an executed notebook: small, in the index and at its page's head."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from muse_core.figures import PLOTLY_MIME

COVER_WIDTH = 480
"""Pixels, at most."""


@dataclass(frozen=True)
class Cover:
    """``uri``: a data URI or a link, "" for none; ``alt``: what it shows; ``figure``: the name of
    the figure it stands for; ``chart``: drawn on white paper, which a dark page may invert.
    """

    uri: str = ""
    alt: str = ""
    figure: str = ""
    chart: bool = False


def cover_of(notebook: Mapping[str, Any]) -> Cover:
    """The picture shown as cover, else the first that can be read."""
    outputs = [each for cell in notebook.get("cells", []) for each in cell.get("outputs", [])]
    noted = [(one.get("metadata", {}).get("muse"), one.get("data", {})) for one in outputs]
    shown = [(note, data) for note, data in noted if note and "image/png" in data]
    for note, data in sorted(shown, key=lambda one: one[0].get("cover") is not True):
        if uri := _uri(note, data["image/png"]):
            words = (str(note.get(name, "")) for name in ("alt", "name"))
            return Cover(uri, *words, chart=PLOTLY_MIME in data)
    return Cover()


def _uri(note: Mapping[str, Any], png: str | list[str]) -> str:
    """The picture that was drawn to be small, where there is one; "" for bytes that are none."""
    if small := str(note.get("thumbnail", "")):
        return f"data:image/webp;base64,{small}"
    webp = as_webp(base64.b64decode("".join(png)), COVER_WIDTH, quality=84, method=6)
    return "data:image/webp;base64," + base64.b64encode(webp).decode("ascii") if webp else ""


def as_webp(png: bytes, width: int, **options: Any) -> bytes:
    """The picture on white paper, at most so wide; b"" for bytes that are no picture."""
    buffer = io.BytesIO()
    try:
        image = Image.open(io.BytesIO(png)).convert("RGBA")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return b""
    paper = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    paper.thumbnail((width, 2 * width), Image.Resampling.LANCZOS)
    paper.save(buffer, format="WEBP", **options)
    return buffer.getvalue()
