"""Bytes of image files, whole and broken."""

import io
from typing import Any

import numpy as np
from PIL import Image

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script></svg>'
HTML = b"<!DOCTYPE html><html><body><script>alert(1)</script></body></html>"


def picture(
    width: int = 32, height: int = 32, mode: str = "RGB", kind: str = "PNG", **options: Any
) -> bytes:
    """A colourful image of this size."""
    ramp = np.linspace(0, 255, width * height, dtype=np.uint8).reshape(height, width)
    image, buffer = Image.fromarray(ramp).convert(mode), io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def float_tiff() -> bytes:
    """Pixels of unknown range."""
    buffer = io.BytesIO()
    Image.fromarray(np.linspace(-1, 1, 1024, dtype=np.float32).reshape(32, 32)).save(
        buffer, format="TIFF"
    )
    return buffer.getvalue()


PNG, JPEG = picture(), picture(kind="JPEG")
BROKEN = {
    "an empty file": b"",
    "text that pretends to be an image": b"this is a cat, believe me",
    "an SVG with a script": SVG,
    "a page of HTML": HTML,
    "a JPEG cut in its header": JPEG[:20],
    "a PNG cut in its pixels": picture(256, 256)[:200],
    "a PNG whose signature alone is there": PNG[:8],
    "zeros": bytes(4096),
    "a pickle": b"\x80\x04\x95\x0f\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94\x8c\x06system\x94\x93\x94.",
    "a PDF": b"%PDF-1.7\n1 0 obj\n<< >>\nendobj\n",
    "a ZIP": b"PK\x03\x04" + bytes(64),
    "a TIFF of floats": float_tiff(),
}
"""What is in the file -> its bytes."""
