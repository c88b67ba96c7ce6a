"""The attention explorer: point at a patch and see where every network looks. Here its data, and
its life in pages.

Pages and the live widget run the same ``explorer.js`` on the same data: maps as 8-bit numbers with
a scale each, compressed; fewer heads or images where they would make a page too heavy."""

import base64
import gzip
import html
import io
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from muse_core.errors import MuseError, shown
from muse_core.figures.images import pixels

LARGEST_THUMBNAIL = 256
"""Pixels of a stored image's longer side, at most."""


PAGE_BYTES = 4_200_000
"""What the explorer may add to a page, so that pages stay under 8 MB."""

BYTES_A_VALUE = 0.75
"""Of a map's 8-bit value in the page, compressed and in base64: 0.70 measured on 8 networks of run
tiny.
"""

ENOUGH_IMAGES = 3
"""Heads are averaged before fewer images than these are shown."""


@dataclass(frozen=True)
class AttentionView:
    """One network's attention: ``maps`` (images, layers, heads, N, N), array or tensor on the CPU,
    with rows that sum to 1, N = the grid's product.

    ``role``: "teacher" (as the student gets it, and on its own grid, for example), "student" (in
    the order of training) or "comparison". The difference is taken from the teacher on the
    student's grid."""

    name: str
    role: str
    maps: Any
    grid: tuple[int, int]


def explorer_data(
    images: np.ndarray, names: Sequence[str], sources: Sequence[AttentionView]
) -> dict[str, Any]:
    """What ``explorer.js`` reads, as JSON values. ``images`` (n, h, w, 3) or (n, 3, h, w) in [0,
    1], one name each.
    """
    return {
        "images": [_data_uri(tile) for tile in pixels(images)],
        "names": [str(name) for name in names],
        "sources": [_packed(source) for source in sources],
    }


def explorer_fragment(data: dict[str, Any], selection: dict[str, Any] | None = None) -> str:
    """HTML that works in any page, from disk and without a kernel."""
    given = json.dumps({"data": data, "selection": selection or {}}).replace("<", "\\u003c")
    names = ", ".join(source["name"] for source in data["sources"])
    words = html.escape(f"Attention explorer: {names}", quote=True)
    source = script().replace("export default {render};", "").replace("export ", "")
    return (
        f'<div data-muse-explorer role="group" aria-label="{words}">'
        '<div class="here">The explorer needs JavaScript.</div>'
        f'<script type="application/json">{given}</script>'
        f"<script>(() => {{{source}start();}})()</script></div>"
    )


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
    (rows, columns), stage = main["grid"], max(0, len(students) - 1)
    middle = {"image": 0, "patch": rows // 2 * columns + columns // 2}
    view = {"keys": False, "opacity": 0.85, "shared": True}
    chosen = {"layer": main["layers"] - 1, "head": -1, "stage": stage}
    return middle | chosen | {"teacher": 0, "comparison": 0} | view


def looked_at(sources: Sequence[AttentionView], selection: dict[str, Any]) -> dict[str, np.ndarray]:
    """What the explorer shows for a selection: name -> attention (rows, columns) of that patch, as
    ``explorer.js`` finds it.

    Raises MuseError for a selection that these sources do not have.
    """
    main = next((source for source in sources if source.role == "student"), sources[0])
    _, layers, heads, patches, _ = main.maps.shape
    counts = {"image": len(main.maps), "layer": layers, "head": heads, "patch": patches}
    for name, count in counts.items():
        at = selection.get(name)
        if at not in range(count) and not (name == "head" and at == -1):
            raise MuseError(f"There is no {name} {shown(at)} to look at: choose 0 to {count - 1}.")
    found = {}
    for source in sources:
        layer = selection["layer"] * source.maps.shape[1] // layers
        maps = np.asarray(source.maps[selection["image"], layer])
        head = selection["head"] * len(maps) // heads
        one = maps.mean(0) if head < 0 else maps[head]
        patch = _same_place(selection["patch"], main.grid, source.grid)
        one = one.T if selection["keys"] else one
        found[source.name] = one[patch].reshape(source.grid)
    return found


def explorer_widget(
    data: dict[str, Any], add: Callable[[str, bytes], dict[str, Any]] | None = None
) -> Any:
    """The same as a live widget: ``widget.selection`` is what is being looked at, and may be set.

    ``add``, if given, lets a reader drop an image on it: called with the file's name and bytes, it
    returns the new data, or raises MuseError, whose sentence is shown. Outside JupyterLab, and in
    exported pages, the widget's output falls back to `explorer_fragment`."""
    import anywidget
    import traitlets

    class AttentionExplorer(anywidget.AnyWidget):
        _esm = script()
        data = traitlets.Dict().tag(sync=True)
        selection = traitlets.Dict().tag(sync=True)
        accepts_images = traitlets.Bool(False).tag(sync=True)

        def _repr_mimebundle_(self, **options: Any) -> Any:
            given: Any = super()._repr_mimebundle_(**options)
            bundle, metadata = given if isinstance(given, tuple) else (given, {})
            return {**bundle, "text/html": explorer_fragment(self.data, self.selection)}, metadata

    def received(widget: AttentionExplorer, content: dict[str, Any], buffers: list[Any]) -> None:
        if add is None:
            return
        try:
            widget.data = add(str(content.get("name", "image")), bytes(buffers[0]))
        except MuseError as error:
            widget.send({"says": str(error)})

    state = {"data": data, "selection": first_selection(data), "accepts_images": add is not None}
    widget = AttentionExplorer(**state)
    widget.on_msg(received)
    return widget


def within_budget(
    sources: Sequence[AttentionView], budget: int = PAGE_BYTES
) -> tuple[list[AttentionView], int, str]:
    """The sources, lighter if they must be; how many images of them to show; and a sentence on what
    was left out, or "".

    Heads are averaged in neighbouring pairs until `ENOUGH_IMAGES` fit; then as many images are kept
    as fit. Raises MuseError where even one image with one head is too much."""
    kept, asked, heads = list(sources), len(sources[0].maps), _most_heads(sources)
    while min(asked, ENOUGH_IMAGES) * _bytes_an_image(kept) > budget and _most_heads(kept) > 1:
        kept = [_halved(source) for source in kept]
    each, left = _bytes_an_image(kept), _most_heads(kept)
    if each > budget:
        words = f"The attention of one image takes {each / 1e6:.0f} MB, more than a page may"
        raise MuseError(f"{words}: lower the resolution, or show fewer networks.")
    count = min(asked, int(budget // each))
    said = [f"heads are averaged in groups of {heads // left}"] * (left < heads)
    said += [f"{count} of {asked} images are shown"] * (count < asked)
    note = f"To keep the page under {budget / 1e6:.1f} MB, {' and '.join(said)}." if said else ""
    return [replace(source, maps=source.maps[:count]) for source in kept], count, note


def _bytes_an_image(sources: Sequence[AttentionView]) -> float:
    return sum(math.prod(source.maps.shape[1:]) for source in sources) * BYTES_A_VALUE


def _most_heads(sources: Sequence[AttentionView]) -> int:
    return max(source.maps.shape[2] for source in sources)


def _halved(source: AttentionView) -> AttentionView:
    """Neighbouring heads averaged in pairs; an odd last one stays alone."""
    heads = source.maps.shape[2]
    pairs = [source.maps[:, :, at : at + 2].mean(2) for at in range(0, heads, 2)]
    return replace(source, maps=np.stack(pairs, axis=2))


def _same_place(patch: int, grid: tuple[int, int], other: tuple[int, int]) -> int:
    """The patch of another grid that lies at the same place of the image."""
    row, column = divmod(patch, grid[1])
    down, across = (2 * row + 1) * other[0], (2 * column + 1) * other[1]
    return down // (2 * grid[0]) * other[1] + across // (2 * grid[1])


def _packed(source: AttentionView) -> dict[str, Any]:
    """Each map divided by its largest value and rounded to 8 bits: an error of at most 1/510 of
    that value.
    """
    layers, heads = source.maps.shape[1:3]
    maps = np.nan_to_num(np.asarray(source.maps, dtype=np.float32)).clip(min=0)
    scales = maps.max(axis=(-2, -1))
    whole = np.rint(maps / np.maximum(scales, 1e-12)[..., None, None] * 255).astype(np.uint8)
    network = {"name": source.name, "role": source.role, "grid": list(source.grid)}
    packed = base64.b64encode(gzip.compress(whole.tobytes(), 9, mtime=0)).decode("ascii")
    exact = [float(f"{scale:.6g}") for scale in scales.ravel()]
    return network | {"layers": layers, "heads": heads, "scales": exact, "maps": packed}


def _data_uri(tile: np.ndarray) -> str:
    image, buffer = Image.fromarray(tile), io.BytesIO()
    image.thumbnail((LARGEST_THUMBNAIL, LARGEST_THUMBNAIL))
    image.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
