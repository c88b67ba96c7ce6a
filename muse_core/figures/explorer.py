"""The attention explorer: point at a patch and see where every network looks. Here its data, and
its life in pages.

Pages and the widget (`explorer_widget`) run the same ``explorer.js`` on the same data: maps as
8-bit numbers with a scale each, compressed."""

import base64
import gzip
import html
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from muse_core.errors import MuseError, shown
from muse_core.figures.images import pixels

ROLES = ("teacher", "student", "comparison")
LARGEST_THUMBNAIL = 256
"""Pixels of a stored image's longer side, at most."""


@dataclass(frozen=True)
class AttentionSource:
    """One network's attention: ``maps`` (images, layers, heads, N, N) with rows that sum to 1, N =
    the grid's product.

    ``role``: "teacher" (as the student gets it, and on its own grid, for example), "student" (in
    the order of training) or "comparison". The difference is taken from the teacher on the
    student's grid."""

    name: str
    role: str
    maps: np.ndarray
    grid: tuple[int, int]


def explorer_data(
    images: np.ndarray, names: Sequence[str], sources: Sequence[AttentionSource]
) -> dict[str, Any]:
    """What ``explorer.js`` reads, as JSON values. ``images`` (n, h, w, 3) or (n, 3, h, w) in [0,
    1], one name each.

    Raises MuseError for counts or shapes that do not fit, an unknown role, and neither a student
    nor a teacher."""
    tiles = pixels(images)
    if len(names) != len(tiles):
        raise MuseError(
            f"There are {len(tiles)} images but {len(names)} names: give one name an image."
        )
    if not any(source.role in ROLES[:2] for source in sources):
        raise MuseError("The explorer has neither a teacher nor a student to show: give it one.")
    for source in sources:
        _check(source, len(tiles))
    return {
        "images": [_data_uri(tile) for tile in tiles],
        "names": [str(name) for name in names],
        "sources": [_packed(source) for source in sources],
    }


def explorer_fragment(data: dict[str, Any], selection: dict[str, Any] | None = None) -> str:
    """HTML that works in any page, from disk and without a kernel."""
    given = json.dumps({"data": data, "selection": selection or {}}).replace("<", "\\u003c")
    words = html.escape(
        "Attention explorer: " + ", ".join(source["name"] for source in data["sources"]), quote=True
    )
    source = script().replace("export default {render};", "").replace("export ", "")
    return (
        f'<div data-muse-explorer role="group" aria-label="{words}"><div class="here">The explorer needs JavaScript.</div>'
        f'<script type="application/json">{given}</script><script>{_START}{source}{_END}</script></div>'
    )


_START = """(() => {
const root = document.currentScript?.parentElement ?? document.querySelector("[data-muse-explorer]:not([data-awake])");
root.dataset.awake = "1";
"""
_END = """
const given = JSON.parse(root.querySelector("script[type='application/json']").textContent);
root.ready = mount(root.querySelector(".here"), given.data, {...given.selection, ...linked()});
})();"""


@cache
def script() -> str:
    return Path(__file__).with_name("explorer.js").read_text(encoding="utf-8")


def first_selection(data: dict[str, Any]) -> dict[str, Any]:
    """What is looked at before anybody chooses: the middle patch of the first image, last layer,
    mean of the heads.

    ``head`` -1 is the mean; ``stage``, ``teacher`` and ``comparison`` count among the sources of
    their role; ``keys``: who looks at the patch instead of where it looks."""
    students = [source for source in data["sources"] if source["role"] == "student"]
    main = (students or data["sources"])[0]
    rows, columns = main["grid"]
    return {
        "image": 0,
        "patch": rows // 2 * columns + columns // 2,
        "layer": main["layers"] - 1,
        "head": -1,
        "stage": max(0, len(students) - 1),
        "teacher": 0,
        "comparison": 0,
        "keys": False,
        "opacity": 0.85,
        "shared": True,
    }


def looked_at(
    sources: Sequence[AttentionSource], selection: dict[str, Any]
) -> dict[str, np.ndarray]:
    """What the explorer shows for a selection: name -> attention (rows, columns) of that patch, as
    ``explorer.js`` finds it.

    Raises MuseError for a selection that these sources do not have.
    """
    main = next((source for source in sources if source.role == "student"), sources[0])
    _, layers, heads, patches, _ = main.maps.shape
    for name, count in {
        "image": len(main.maps),
        "layer": layers,
        "head": heads,
        "patch": patches,
    }.items():
        at = selection.get(name)
        if at not in range(count) and not (name == "head" and at == -1):
            raise MuseError(f"There is no {name} {shown(at)} to look at: choose 0 to {count - 1}.")
    found = {}
    for source in sources:
        maps = source.maps[selection["image"], selection["layer"] * source.maps.shape[1] // layers]
        map_ = (
            maps.mean(0) if selection["head"] < 0 else maps[selection["head"] * len(maps) // heads]
        )
        patch = _same_place(selection["patch"], main.grid, source.grid)
        found[source.name] = (map_[:, patch] if selection["keys"] else map_[patch]).reshape(
            source.grid
        )
    return found


def _same_place(patch: int, grid: tuple[int, int], other: tuple[int, int]) -> int:
    """The patch of another grid that lies at the same place of the image."""
    row, column = divmod(patch, grid[1])
    return int((row + 0.5) * other[0] / grid[0]) * other[1] + int(
        (column + 0.5) * other[1] / grid[1]
    )


def _check(source: AttentionSource, images: int) -> None:
    if source.role not in ROLES:
        raise MuseError(
            f"The role of {source.name!r} is {source.role!r}: use one of {', '.join(ROLES)}."
        )
    tokens = source.grid[0] * source.grid[1]
    if (
        source.maps.ndim != 5
        or source.maps.shape[0] != images
        or source.maps.shape[-2:] != (tokens, tokens)
    ):
        raise MuseError(
            f"The maps of {source.name!r} have shape {source.maps.shape}: give (images, layers, heads, tokens, tokens) for "
            f"{images} images and a grid of {source.grid}."
        )


def _packed(source: AttentionSource) -> dict[str, Any]:
    """Each map divided by its largest value and rounded to 8 bits: an error of at most 1/510 of
    that value.
    """
    layers, heads = source.maps.shape[1:3]
    maps = np.nan_to_num(source.maps.astype(np.float32)).clip(min=0)
    scales = maps.max(axis=(-2, -1))
    whole = np.rint(maps / np.maximum(scales, 1e-12)[..., None, None] * 255).astype(np.uint8)
    return {
        "name": source.name,
        "role": source.role,
        "grid": list(source.grid),
        "layers": layers,
        "heads": heads,
        "scales": [float(f"{scale:.6g}") for scale in scales.ravel()],
        "maps": base64.b64encode(gzip.compress(whole.tobytes(), 9, mtime=0)).decode("ascii"),
    }


def _data_uri(tile: np.ndarray) -> str:
    image, buffer = Image.fromarray(tile), io.BytesIO()
    image.thumbnail((LARGEST_THUMBNAIL, LARGEST_THUMBNAIL))
    image.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
