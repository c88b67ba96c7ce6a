"""Attention drawn over the image it looks at. A map's row is its query ("who looks"), its column a key ("at what")."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from muse_core.errors import MuseError
from muse_core.figures.images import pixels
from muse_core.figures.overlays import centre, colour_bar, heated, largest, ring
from muse_core.figures.picture import Number, Picture, blank, wrapped
from muse_core.figures.theme import ATTENTION_MAP
from muse_core.figures.tiles import tiled, tiled_heatmap

Grid = tuple[int, int]
"""Patches down and across: patch k sits at row k // across, column k % across."""


def attention_comparison(
    image: np.ndarray,
    maps: dict[str, np.ndarray],
    grid: Grid,
    queries: Sequence[int] | np.ndarray,
    title: str = "",
    smooth: bool = False,
) -> Picture:
    """One row a query: the query on the image, then where each labelled map looks from it, on one scale a row.

    ``image`` (h, w, 3) or (3, h, w) in [0, 1]; ``maps`` label -> (N, N) with rows that sum to 1, N = grid's product.
    """
    rows = [[_looks(found, grid, query, label) for label, found in maps.items()] for query in queries]
    picture, heading = pixels(image[None])[0], title or f"Where the marked patches look: {', '.join(maps)}"
    still = blank(2.1 * (len(maps) + 1) + 0.9, 2.1 * len(queries) + 0.8, heading)
    axes = still.subplots(len(queries), len(maps) + 1, squeeze=False)
    for place, query, looks in zip(axes, queries, rows, strict=True):
        most = largest(looks)
        _marked(place[0], picture, grid, query)
        for spot, look in zip(place[1:], looks, strict=True):
            _heat(spot, picture, look, grid, query, most, smooth)
        colour_bar(still, list(place), most, "attention")
    for place, label in zip(axes[0], ["query", *maps], strict=True):
        place.set_title(wrapped(label, 22, "\n"), fontsize=9, loc="center")
    names = [f"query {query}" for query in queries]
    return Picture(tiled_heatmap(tiled(_scaled(rows)), grid, names, list(maps), heading, list(queries)), still)


def attention_atlas(maps: np.ndarray, grid: Grid, query: int | np.integer, title: str = "") -> Picture:
    """Every head of every layer from one query, tiled: layers down, heads across, one scale a layer.

    ``maps`` (layers, heads, N, N) with rows that sum to 1.
    """
    layers, heads = maps.shape[:2]
    rows = [
        [_looks(maps[layer, head], grid, query, f"layer {layer + 1}") for head in range(heads)]
        for layer in range(layers)
    ]
    heading = title or f"Where patch {query} looks in {layers} layers × {heads} heads (bright = the layer's largest)"
    tiles = tiled(_scaled(rows))
    side = min(1.0, 12 / heads)
    still = blank(max(5, side * heads + 1), max(2.5, side * layers * grid[0] / grid[1] + 1.1), heading)
    axes = still.subplots()
    axes.imshow(tiles, cmap=ATTENTION_MAP, vmin=0, vmax=1, interpolation="nearest")
    row, column = divmod(query, grid[1])
    axes.plot(
        [h * (grid[1] + 1) + column for _ in range(layers) for h in range(heads)],
        [l * (grid[0] + 1) + row for l in range(layers) for _ in range(heads)],  # noqa: E741
        **ring(3),
    )
    axes.set_xticks(np.arange(heads) * (grid[1] + 1) + (grid[1] - 1) / 2, [str(head + 1) for head in range(heads)])
    axes.set_yticks(np.arange(layers) * (grid[0] + 1) + (grid[0] - 1) / 2, [str(layer + 1) for layer in range(layers)])
    axes.set(xlabel="head", ylabel="layer")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.grid(False)
    down, across = [f"layer {at + 1}" for at in range(layers)], [f"head {at + 1}" for at in range(heads)]
    return Picture(tiled_heatmap(tiles, grid, down, across, heading, [query] * layers), still)


def saliency(
    image: np.ndarray, values: np.ndarray, title: str = "", unit: str = "saliency", smooth: bool = True
) -> Picture:
    """The image, and beside it one value a patch (h, w) laid over it, zero to the largest."""
    picture, values = pixels(image[None])[0], np.asarray(values, dtype=np.float32)
    row, column = np.unravel_index(np.nanargmax(np.nan_to_num(values)), values.shape)
    still = blank(6.2, 3.2, title or f"{unit.capitalize()} is largest at row {row + 1}, column {column + 1}")
    axes = still.subplots(1, 2)
    most = largest([values])
    axes[0].imshow(picture)
    axes[1].imshow(heated(picture, values, most, smooth))
    for place, label in zip(axes, ("image", unit), strict=True):
        place.set(xticks=[], yticks=[])
        place.set_title(label, fontsize=9, loc="center")
    colour_bar(still, list(axes), most, unit)
    return Picture(None, still)


def _looks(found: np.ndarray, grid: Grid, query: int | np.integer, label: str) -> np.ndarray:
    """The query's row of a map (N, N), as a grid (h, w)."""
    patches = grid[0] * grid[1]
    if np.shape(found) != (patches, patches):
        raise MuseError(
            f"The map {label!r} has shape {np.shape(found)} but a {grid[0]}×{grid[1]} grid needs {patches} a side."
        )
    if not 0 <= query < patches:
        raise MuseError(f"There is no query {query} in a {grid[0]}×{grid[1]} grid: choose 0 to {patches - 1}.")
    return np.asarray(found, dtype=np.float32)[query].reshape(grid)


def _scaled(rows: list[list[np.ndarray]]) -> np.ndarray:
    """Each row of maps over its own largest value: (rows, columns, h, w) in [0, 1]."""
    return np.stack([np.stack(looks) / largest(looks) for looks in rows])


def _marked(place: Axes, picture: np.ndarray, grid: Grid, query: int | np.integer) -> None:
    place.imshow(picture)
    place.plot(*centre(picture, grid, query), **ring(9))
    place.set(xticks=[], yticks=[])
    place.set_ylabel(f"query {query}", fontsize=9)


def _heat(
    place: Axes, picture: np.ndarray, look: np.ndarray, grid: Grid, query: int | np.integer, most: Number, smooth: bool
) -> None:
    place.imshow(heated(picture, look, most, smooth))
    place.plot(*centre(picture, grid, query), **ring(5))
    place.set(xticks=[], yticks=[])
