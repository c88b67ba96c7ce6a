"""What stands in files of the table as ``$NAME``: images whole and broken, shards, texts that only
Python can spell.
"""

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
from PIL import Image

GOOD_STUDY = "name: mine\nseeds: [0]\nrows:\n  full: {words: all of it}\n"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)
"""Nine layers of nine: half a billion texts once it is unfolded."""


def picture(
    width: int = 32, height: int = 32, mode: str = "RGB", kind: str = "PNG", **options: Any
) -> bytes:
    """Grey levels from black to white, in the colours of ``mode``."""
    ramp = np.linspace(0, 255, width * height, dtype=np.uint8).reshape(height, width)
    image, buffer = Image.fromarray(ramp).convert(mode), io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def red(mode: str) -> bytes:
    """A picture with colours, unlike `picture`'s greys."""
    buffer = io.BytesIO()
    Image.new(mode, (32, 32), "red").save(buffer, format="PNG")
    return buffer.getvalue()


def float_tiff() -> bytes:
    """Pixels of unknown range."""
    buffer = io.BytesIO()
    pixels = np.linspace(-1, 1, 1024, dtype=np.float32).reshape(32, 32)
    Image.fromarray(pixels).save(buffer, format="TIFF")
    return buffer.getvalue()


def tar_of(members: Mapping[str, bytes]) -> bytes:
    """Regular files by name, in this order."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name, member in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(member)
            tar.addfile(info, io.BytesIO(member))
    return content.getvalue()


def parquet(**columns: Sequence[Any]) -> bytes:
    """A table with these columns."""
    content = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), content)
    return content.getvalue()


PNG, JPEG = picture(), picture(kind="JPEG")
BROKEN: dict[str, bytes] = {
    "NOTHING": b"",
    "TEXT": b"this is a cat, believe me",
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>1</script></svg>',
    "HTML": b"<!DOCTYPE html><html><body><script>alert(1)</script></body></html>",
    "JPEG CUT": JPEG[:20],
    "PNG CUT": picture(256, 256)[:200],
    "PNG SIGNATURE": PNG[:8],
    "ZEROS": bytes(10240),
    "PICKLE": b"\x80\x04\x95\x0f\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94\x8c\x06system\x94\x93.",
    "PDF": b"%PDF-1.7\n1 0 obj\n<< >>\nendobj\n",
    "ZIP": b"PK\x03\x04" + bytes(64),
    "FLOAT TIFF": float_tiff(),
}
"""Files that are no images."""
ROWS_OF_IMAGES = [{"bytes": PNG, "path": None}] * 3
CONTENTS: dict[str, bytes] = BROKEN | {
    "PNG": PNG,
    "GREY": picture(mode="L"),
    "RGBA": red("RGBA"),
    "DOT": picture(2, 2),
    "LINE": picture(500, 3),
    "COLOURS": red("RGB"),
    "BYTES": b"\xff\xfe\x00",
    "EVERY BYTE": bytes(range(256)),
    "GZIP": b"\x1f\x8b" + bytes(999),
    "BRACKETS": b"[" * 100_000,
    "LATIN-1": '{"file_name": "1.png", "caption": "caf\u00e9"}'.encode("latin-1"),
    "UTF-16": GOOD_STUDY.encode("utf-16-be"),
    "BOMB": BOMB.encode(),
    "DEEP": b"name: " + b"[" * 600 + b"]" * 600,
    "PETABYTES": b"\xff" * 7 + b"\x7f{",
    "EMPTY SAFETENSORS": b"\x02\x00\x00\x00\x00\x00\x00\x00{}",
    "PAIRS": tar_of({"a.png": PNG, "a.txt": b"a cat"}),
    "PAIRS CUT": tar_of({"a.png": PNG, "a.txt": b"a cat"})[:600],
    "WORDS TAR": tar_of({"a.txt": b"a cat"}),
    "TEXT TAR": tar_of({"a.png": b"a cat"}),
    "PARQUET": parquet(image=ROWS_OF_IMAGES, caption=["a cat"] * 3),
    "PARQUET CUT": parquet(image=ROWS_OF_IMAGES)[:-9],
    "PARQUET WITHOUT ROWS": parquet(image=[]),
    "PARQUET OF WORDS": parquet(words=["a"] * 3),
    "PARQUET OF NUMBERS": parquet(image=[1, 2, 3]),
    "PARQUET OF ADDRESSES": parquet(image=[f"https://example.org/{n}.jpg" for n in range(30)]),
    "PARQUET OF TEXT": parquet(image=[b"cat"] * 3),
    "PARQUET OF PATHS": parquet(image=[{"bytes": None, "path": "/etc/passwd"}]),
    "NOTEBOOK": json.dumps(
        {
            "cells": [
                {
                    "cell_type": "code",
                    "metadata": {"tags": ["parameters"]},
                    "source": "x: int = =",
                }
            ]
        }
    ).encode(),
}
TEXTS = {"LONG": "x" * 3000, "NUL": "nul\0byte", "NEWLINE": "run\nname"}
"""Values of parameters that only Python can spell."""


def content_of(value: str) -> bytes:
    """The bytes of a file: those named ``$NAME``, else the text itself."""
    return CONTENTS[value[1:]] if value.startswith("$") else value.encode()


def text_of(value: Any) -> Any:
    """A parameter's value, with ``$NAME`` spelled out."""
    return TEXTS.get(value[1:], value) if isinstance(value, str) and value[:1] == "$" else value
