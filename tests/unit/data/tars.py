"""Tars written by hand, for the tests of what reads them."""

import io
import tarfile
from pathlib import Path

from PIL import Image


def picture(
    colour: object = (200, 100, 50), size: tuple[int, int] = (20, 20), mode: str = "RGB"
) -> bytes:
    content = io.BytesIO()
    Image.new(mode, size, colour).save(content, "png")
    return content.getvalue()


def write_tar(path: Path, members: list[tuple[str, bytes]], form: int = tarfile.PAX_FORMAT) -> Path:
    """The members in this order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as tar:
        for name, content in members:
            add(tar, name, content)
    return path


def add(tar: tarfile.TarFile, name: str, content: bytes = b"", **fields: object) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    tar.addfile(info, io.BytesIO(content))


def numbered(first: int, last: int) -> list[tuple[str, bytes]]:
    """Samples whose red is their number, with caption, class (number modulo 3) and mask (number
    modulo 2).
    """
    return [
        (f"{number:04d}.{extension}", content)
        for number in range(first, last)
        for extension, content in {
            "cls": b"%d" % (number % 3),
            "png": picture((number, 0, 0)),
            "seg.png": picture(number % 2, mode="L"),
            "txt": b"picture %d" % number,
        }.items()
    ]
