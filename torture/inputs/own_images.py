"""A reader's own images for the explorer of notebook 04, by path or dropped on it."""

from collections.abc import Callable
from typing import Any

from muse_core.data.own_images import image_from_bytes, own_images
from torture.bad_input import BadInput, Desk
from torture.inputs.images import BROKEN, PNG, picture

SIZE = 64
FORMATS, PATH = "give a JPEG, PNG or WebP file", "give a path"


def _looked_at(words: str) -> Callable[[Desk], Any]:
    return lambda desk: own_images(words.replace("DESK", str(desk.folder)), SIZE)


def _saved(desk: Desk) -> None:
    (desk.folder / "folder.png").mkdir()
    (desk.folder / "gone.png").symlink_to(desk.folder / "nowhere.png")
    (desk.folder / "dot.png").write_bytes(picture(2, 2))
    (desk.folder / "line.png").write_bytes(picture(500, 3))
    (desk.folder / "good.png").write_bytes(PNG)


BY_PATH = tuple(
    BadInput(
        f"own image: {words[:40]!r}",
        f"gives image={words[:40]!r}",
        names,
        fix,
        _looked_at(words),
        _saved,
    )
    for words, names, fix in (
        (",", "no image to look at", PATH),
        ("astronot", "astronot", PATH),
        ("cat, dog", "'dog'", PATH),
        ("https://example.org/cat.jpg", "https://example.org/cat.jpg", PATH),
        ("DESK/folder.png", "folder.png", PATH),
        ("DESK/gone.png", "gone.png", PATH),
        ("DESK/good.png, DESK/none.png", "none.png", PATH),
        ("__import__('os').getcwd()", "__import__", PATH),
        ("x" * 3000, "xxxx", PATH),
        ("nul\0byte.png", "nul", PATH),
        ("DESK/dot.png", "dot.png", "at least 8 × 8"),
        ("DESK/line.png", "500 × 3", "at least 8 × 8"),
    )
)
DROPPED = tuple(
    BadInput(
        f"own image: drops {what}",
        f"drops {what} on the explorer",
        "me.png",
        FORMATS,
        lambda desk, content=content: image_from_bytes("me.png", content, SIZE),
    )
    for what, content in BROKEN.items()
)
FITS = (
    BadInput(
        "own image: fit",
        "fits it by stretching",
        "stretch",
        "choose one of crop, pad",
        lambda desk: own_images("cat", SIZE, "stretch"),
    ),
)
ROWS = (*BY_PATH, *DROPPED, *FITS)
