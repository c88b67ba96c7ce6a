"""The attention explorer: point at a patch and see where every network looks, and what it makes of
the image there. Here its data, and its life in pages.

Pages and the live widget run the same ``explorer.js`` on the same data: maps as 8-bit numbers with
a scale each, compressed; fewer heads or images where they would make a page too heavy."""

import base64
import gzip
import html
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
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


@dataclass(frozen=True)
class FeatureView:
    """One network's features: ``tokens`` (images, N, width), array or tensor on the CPU, N = the
    grid's product.

    ``stage``: the place of its student in the order of training; None for features that no stage
    changes. ``projected``: the tokens in the text space (images, N, embedding width), or None."""

    name: str
    tokens: Any
    grid: tuple[int, int]
    stage: int | None = None
    projected: Any = None


@dataclass(frozen=True)
class Words:
    """Words that patches are compared with, and their embeddings (words, embedding width)."""

    words: tuple[str, ...] = ()
    embeddings: Any = None


@dataclass(frozen=True)
class GradientView:
    """Where gradients go in one student, ``stage`` as in `FeatureView`: loss -> (kind of weight,
    block, or -1 outside of blocks) -> share of the loss's energy; 0.0 is exactly zero."""

    stage: int
    shares: Mapping[str, Mapping[tuple[str, int], float]]


def explorer_data(
    images: np.ndarray,
    names: Sequence[str],
    sources: Sequence[AttentionView],
    features: Sequence[FeatureView] = (),
    words: Words | None = None,
    gradients: Sequence[GradientView] = (),
) -> dict[str, Any]:
    """What ``explorer.js`` reads, as JSON values. ``images`` (n, h, w, 3) or (n, 3, h, w) in [0,
    1], one name each; ``features`` of these images or more.
    """
    words, count = words or Words(), len(names)
    return {
        "images": [png_uri(tile) for tile in pixels(images)],
        "names": [str(name) for name in names],
        "sources": [_packed(source) for source in sources],
        "features": [_packed_features(view, count, words) for view in features],
        "words": list(words.words),
        "gradients": [
            {
                "stage": view.stage,
                "losses": {
                    loss: [
                        [kind, block, float(f"{share:.4g}")]
                        for (kind, block), share in held.items()
                    ]
                    for loss, held in view.shares.items()
                },
            }
            for view in gradients
        ],
    }


def explorer_fragment(data: dict[str, Any], selection: dict[str, Any] | None = None) -> str:
    """HTML that works in any page, from disk and without a kernel."""
    given = json.dumps({"data": data, "selection": selection or {}}, allow_nan=False)
    given = given.replace("<", "\\u003c")
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

    ``mode``: "attention", "rollout", "pca", "cosine", "words" or "gradients"; ``head`` -1: mean;
    ``stage``, ``teacher`` and ``comparison`` count among the sources of their role; ``keys``: who
    looks at the patch instead of where it looks; ``locked``: the pointer changes it no more."""
    students = [source for source in data["sources"] if source["role"] == "student"]
    main = (students or data["sources"])[0]
    (rows, columns), stage = main["grid"], max(0, len(students) - 1)
    middle = {"image": 0, "patch": rows // 2 * columns + columns // 2}
    view = {"keys": False, "opacity": 0.85, "scale": "pair", "mode": "attention", "locked": False}
    chosen = {"layer": main["layers"] - 1, "head": -1, "stage": stage}
    return middle | chosen | {"teacher": 0, "comparison": 0, "word": 0, "loss": 0} | view


def looked_at(
    sources: Sequence[AttentionView],
    selection: dict[str, Any],
    features: Sequence[FeatureView] = (),
    words: Words | None = None,
) -> dict[str, np.ndarray]:
    """What a selection shows, as ``explorer.js`` finds it: name -> (rows, columns) of attention or
    cosines; (rows, columns, 3) of principal colours; nothing in the mode "gradients".

    Raises MuseError for a selection that is not there.
    """
    main = next((source for source in sources if source.role == "student"), sources[0])
    mode, known = selection.get("mode", "attention"), words or Words()
    images, layers, heads, patches, _ = main.maps.shape
    counts = {"image": images, "layer": layers, "head": heads, "patch": patches}
    counts |= {"word": len(known.words)} if mode == "words" else {}
    for name, count in counts.items():
        at = selection.get(name)
        if at not in range(count) and not (name == "head" and at == -1):
            raise MuseError(f"There is no {name} {shown(at)} to look at: choose 0 to {count - 1}.")
    place = lambda grid: _same_place(selection["patch"], main.grid, grid)
    if mode in ("attention", "rollout"):
        look = _rolled_out if mode == "rollout" else _attended
        return {
            source.name: look(source, selection, place(source.grid), main).reshape(source.grid)
            for source in sources
        }
    now = [
        replace(view, tokens=view.tokens[:images])
        for view in features
        if view.stage in (None, selection["stage"])
    ]
    found = {
        view.name: of_tokens(view, selection, place(view.grid), known)
        for view in now
        if (of_tokens := _OF_TOKENS.get(mode)) and (mode != "words" or view.projected is not None)
    }
    grids = {view.name: view.grid for view in now}
    return {name: each.reshape(*grids[name], *each.shape[1:]) for name, each in found.items()}


def _attended(
    source: AttentionView, selection: dict[str, Any], patch: int, main: AttentionView
) -> np.ndarray:
    """A row of the map, or a column, (N,)."""
    layers, heads = main.maps.shape[1:3]
    maps = np.asarray(
        source.maps[selection["image"], selection["layer"] * source.maps.shape[1] // layers]
    )
    head = selection["head"] * len(maps) // heads
    one = maps.mean(0) if head < 0 else maps[head]
    return (one.T if selection["keys"] else one)[patch]


def _rolled_out(
    source: AttentionView, selection: dict[str, Any], patch: int, _: AttentionView
) -> np.ndarray:
    """A row, or a column, of the product of all layers, each half residual path, (N,)."""
    layers = np.asarray(source.maps[selection["image"]]).mean(1)
    found = np.eye(layers.shape[-1])[patch]
    for layer in layers if selection["keys"] else layers[::-1]:
        found = (found + (layer @ found if selection["keys"] else found @ layer)) / 2
    return found


def _colours(view: FeatureView, selection: dict[str, Any], patch: int, words: Words) -> np.ndarray:
    return principal_colours(np.asarray(view.tokens, dtype=np.float32))[selection["image"]]


def _like(view: FeatureView, selection: dict[str, Any], patch: int, words: Words) -> np.ndarray:
    units = _units(np.asarray(view.tokens[selection["image"]], dtype=np.float32))
    return units @ units[patch]


def _named(view: FeatureView, selection: dict[str, Any], patch: int, words: Words) -> np.ndarray:
    projected: Any = view.projected
    units = _units(np.asarray(projected[selection["image"]], dtype=np.float32))
    return units @ _units(np.asarray(words.embeddings[selection["word"]], dtype=np.float32))


_OF_TOKENS = {"pca": _colours, "cosine": _like, "words": _named}
"""Mode -> what it shows of features, (N,) or (N, 3)."""


def explorer_widget(
    data: dict[str, Any],
    add: Callable[[str, bytes], dict[str, Any]] | None = None,
    add_word: Callable[[str], dict[str, Any]] | None = None,
) -> Any:
    """The same as a live widget: ``widget.selection`` is what is being looked at, and may be set.

    ``add``, if given, lets a reader drop an image on it: called with the file's name and bytes, it
    returns the new data, or raises MuseError, whose sentence is shown; ``add_word`` likewise, with
    a word that was typed. Outside JupyterLab, and in exported pages, the widget's output falls back
    to `explorer_fragment`."""
    import anywidget
    import traitlets

    class AttentionExplorer(anywidget.AnyWidget):
        _esm = script()
        data = traitlets.Dict().tag(sync=True)
        selection = traitlets.Dict().tag(sync=True)
        asks = traitlets.List(traitlets.Unicode()).tag(sync=True)

        def _repr_mimebundle_(self, **options: Any) -> Any:
            given: Any = super()._repr_mimebundle_(**options)
            bundle, metadata = given if isinstance(given, tuple) else (given, {})
            return {**bundle, "text/html": explorer_fragment(self.data, self.selection)}, metadata

    def received(widget: AttentionExplorer, content: dict[str, Any], buffers: list[Any]) -> None:
        try:
            if add_word is not None and "word" in content:
                widget.data = add_word(str(content["word"]))
            elif add is not None and buffers:
                widget.data = add(str(content.get("name", "image")), bytes(buffers[0]))
        except MuseError as error:
            widget.send({"says": str(error)})

    asks = [name for name, can in (("image", add), ("word", add_word)) if can is not None]
    widget = AttentionExplorer(data=data, selection=first_selection(data), asks=asks)
    widget.on_msg(received)
    return widget


def within_budget(
    sources: Sequence[AttentionView],
    budget: int = PAGE_BYTES,
    features: Sequence[FeatureView] = (),
) -> tuple[list[AttentionView], int, str]:
    """The sources, lighter if they must be; how many images of them and of the features to show;
    and a sentence on what was left out, or "".

    Heads are averaged in neighbouring pairs until `ENOUGH_IMAGES` fit; then as many images are kept
    as fit. Raises MuseError where even one image with one head is too much."""
    kept, asked, heads = list(sources), len(sources[0].maps), _most_heads(sources)
    beside = sum(math.prod(view.grid) ** 2 for view in features) * BYTES_A_VALUE
    weight = lambda: _bytes_an_image(kept) + beside
    while min(asked, ENOUGH_IMAGES) * weight() > budget and _most_heads(kept) > 1:
        kept = [_halved(source) for source in kept]
    each, left = weight(), _most_heads(kept)
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
    exact = [float(f"{scale:.6g}") for scale in scales.ravel()]
    return network | {"layers": layers, "heads": heads, "scales": exact, "maps": _compressed(whole)}


def _packed_features(view: FeatureView, count: int, words: Words) -> dict[str, Any]:
    """Of the first ``count`` images: three principal components as colours, the cosine of every two
    patches, and of every word and patch.
    """
    tokens = np.asarray(view.tokens, dtype=np.float32)[:count]
    units = _units(tokens)
    packed = {
        "name": view.name,
        "grid": list(view.grid),
        "stage": view.stage,
        "colours": _compressed(principal_colours(tokens)),
        "cosines": _cosines(units, units),
        "named": view.projected is not None,
    }
    if view.projected is None or not words.words:
        return packed
    projected = _units(np.asarray(view.projected, dtype=np.float32)[:count])
    named = _units(np.asarray(words.embeddings, dtype=np.float32))[None]
    return packed | {"words": _cosines(named, projected)}


def principal_colours(tokens: np.ndarray) -> np.ndarray:
    """Tokens (images, N, width) as RGB bytes (images, N, 3): their first three principal components
    over all images, each from its 2nd to its 98th percentile. The sign of a component is that of
    its largest weight, so that the same features have the same colours.
    """
    flat = np.nan_to_num(tokens.reshape(-1, tokens.shape[-1]).astype(np.float64))
    flat = flat - flat.mean(0)
    _, directions = np.linalg.eigh(flat.T @ flat)
    first = directions[:, ::-1][:, :3]
    largest = first[np.abs(first).argmax(0), np.arange(first.shape[1])]
    found = flat @ (first * np.where(largest < 0, -1, 1))
    low, high = np.percentile(found, [2, 98], axis=0)
    shades = ((found - low) / np.maximum(high - low, 1e-12)).clip(0, 1)
    padded = np.pad(shades, ((0, 0), (0, 3 - shades.shape[1])), constant_values=0.5)
    return np.rint(padded * 255).astype(np.uint8).reshape(*tokens.shape[:2], 3)


def _units(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _cosines(rows: np.ndarray, columns: np.ndarray) -> str:
    """Of unit vectors, (images, rows, columns) from -1 to 1 in 8 bits."""
    found = np.nan_to_num(rows @ columns.swapaxes(-1, -2)).clip(-1, 1)
    return _compressed(np.rint((found + 1) * 127.5).astype(np.uint8))


def _compressed(values: np.ndarray) -> str:
    return base64.b64encode(gzip.compress(values.tobytes(), 9, mtime=0)).decode("ascii")


def png_uri(tile: np.ndarray) -> str:
    """An image, uint8 (height, width, 3), as an address that holds it, thumbnail at most."""
    image, buffer = Image.fromarray(tile), io.BytesIO()
    image.thumbnail((LARGEST_THUMBNAIL, LARGEST_THUMBNAIL))
    image.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
