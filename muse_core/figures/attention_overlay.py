"""Attention drawn over the image it looks at. A map's row is its query ("who looks"), its column a
key ("at what").
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from muse_core.errors import MuseError
from muse_core.figures.image_grids import pixels, placed
from muse_core.figures.overlays import centre, colour_bar, heated, largest, ring
from muse_core.figures.picture import Number, Picture, blank, wrapped
from muse_core.figures.theme import ATTENTION_MAP
from muse_core.figures.tiles import tiled, tiled_heatmap

Grid = tuple[int, int]
"""Patches down and across: patch k sits at row k // across, column k % across."""

SALIENCY_WIDTH = 9.4
"""The widest `saliency_comparison`, in inches: a report's page."""


def attention_comparison(
    image: np.ndarray,
    maps: dict[str, np.ndarray],
    grid: Grid,
    queries: Sequence[int] | np.ndarray,
    title: str = "",
    smooth: bool = False,
) -> Picture:
    """One row a query: the query on the image, then where each labelled map looks from it, on one
    scale a row.

    ``image`` (h, w, 3) or (3, h, w) in [0, 1]; ``maps`` label -> (N, N) with rows that sum to 1, N
    = grid's product."""
    rows = [
        [_looks(found, grid, query, label) for label, found in maps.items()] for query in queries
    ]
    picture, heading = (
        pixels(image[None])[0],
        title or f"Where the marked patches look: {', '.join(maps)}",
    )
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
    return Picture(
        tiled_heatmap(tiled(_scaled(rows)), grid, names, list(maps), heading, list(queries)), still
    )


def attention_atlas(
    maps: np.ndarray, grid: Grid, query: int | np.integer, title: str = ""
) -> Picture:
    """Every head of every layer from one query, tiled: layers down, heads across, one scale a
    layer.

    ``maps`` (layers, heads, N, N) with rows that sum to 1.
    """
    layers, heads = maps.shape[:2]
    rows = [
        [_looks(maps[layer, head], grid, query, f"layer {layer + 1}") for head in range(heads)]
        for layer in range(layers)
    ]
    heading = (
        title
        or f"Where patch {query} looks in {layers} layers × {heads} heads (bright = the layer's largest)"
    )
    tiles = tiled(_scaled(rows))
    side = min(1.0, 12 / heads)
    still = blank(
        max(5, side * heads + 1), max(2.5, side * layers * grid[0] / grid[1] + 1.1), heading
    )
    axes = still.subplots()
    axes.imshow(tiles, cmap=ATTENTION_MAP, vmin=0, vmax=1, interpolation="nearest")
    row, column = divmod(query, grid[1])
    axes.plot(
        [h * (grid[1] + 1) + column for _ in range(layers) for h in range(heads)],
        [l * (grid[0] + 1) + row for l in range(layers) for _ in range(heads)],  # noqa: E741
        **ring(3),
    )
    axes.set_xticks(
        np.arange(heads) * (grid[1] + 1) + (grid[1] - 1) / 2,
        [str(head + 1) for head in range(heads)],
    )
    axes.set_yticks(
        np.arange(layers) * (grid[0] + 1) + (grid[0] - 1) / 2,
        [str(layer + 1) for layer in range(layers)],
    )
    axes.set(xlabel="head", ylabel="layer")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.grid(False)
    down, across = (
        [f"layer {at + 1}" for at in range(layers)],
        [f"head {at + 1}" for at in range(heads)],
    )
    return Picture(tiled_heatmap(tiles, grid, down, across, heading, [query] * layers), still)


def saliency_comparison(
    images: np.ndarray,
    values: dict[str, np.ndarray],
    title: str = "",
    unit: str = "attention received",
) -> Picture:
    """One row an image: the image, then each label's values laid over it, each map from 0 to its
    own largest value.

    ``images`` (n, h, w, 3) or (n, 3, h, w) in [0, 1]; ``values`` label -> (n, rows, columns), one
    value a patch. The grids may differ: then so does what one patch can hold, which is why no two
    maps share a scale; each map's largest is below it."""
    tiles, grids = pixels(images), _one_map_an_image(values, len(images))
    side = min(1.7, SALIENCY_WIDTH / (len(grids) + 1))
    size = 9 if side > 1.3 else 8
    labels = [wrapped(label, int(130 * side / size), "\n", 60) for label in ("image", *grids)]
    lines = max(label.count("\n") + 1 for label in labels)
    height = len(tiles) * (side * tiles.shape[1] / tiles.shape[2] + 0.2) + 0.16 * lines
    number = "one image" if len(tiles) == 1 else f"{len(tiles)} images"
    still = blank(
        max(4.5, side * len(labels)), height + 1, title or f"{unit.capitalize()} in {number}"
    )
    axes = still.subplots(len(tiles), len(labels), squeeze=False)
    for place, label in zip(axes[0], labels, strict=True):
        place.set_title(label, fontsize=size, loc="center")
    for row, (places, tile) in enumerate(zip(axes, tiles, strict=True)):
        placed(places[0], tile)
        for place, maps in zip(places[1:], grids.values(), strict=True):
            placed(place, heated(tile, maps[row], largest([maps[row]])))
            place.set_xlabel(
                f"largest {np.nan_to_num(maps[row]).max():.2g}", fontsize=7, labelpad=2
            )
    _own_scale(axes, unit)
    return Picture(None, still)


def _own_scale(axes: np.ndarray, unit: str) -> None:
    """The colour bar below maps of which each has a scale of its own."""
    still = axes[0, 0].figure
    where = dict(location="bottom", shrink=0.5, aspect=30, pad=0.15 / still.get_figheight())
    bar = still.colorbar(ScalarMappable(Normalize(0, 1), ATTENTION_MAP), ax=axes, **where)
    bar.set_ticks([0, 1], labels=["0", "its largest"], fontsize=8)
    bar.set_label(f"{unit}, each map over its own largest", fontsize=8)


def _one_map_an_image(values: dict[str, np.ndarray], images: int) -> dict[str, np.ndarray]:
    """The values as (images, rows, columns); raises MuseError where there are none or their number
    differs.
    """
    grids = {label: np.asarray(maps, dtype=np.float32) for label, maps in values.items()}
    if not grids or not images:
        raise MuseError(
            "There is nothing to lay over the images: give at least one image and one label with its values."
        )
    for label, maps in grids.items():
        if maps.ndim != 3 or len(maps) != images or not maps.size:
            raise MuseError(
                f"The values {label!r} have shape {maps.shape}: give (images, rows, columns) for {images} images."
            )
    return grids


def _looks(found: np.ndarray, grid: Grid, query: int | np.integer, label: str) -> np.ndarray:
    """The query's row of a map (N, N), as a grid (h, w)."""
    patches = grid[0] * grid[1]
    if np.shape(found) != (patches, patches):
        raise MuseError(
            f"The map {label!r} has shape {np.shape(found)} but a {grid[0]}×{grid[1]} grid needs {patches} a side."
        )
    if not 0 <= query < patches:
        raise MuseError(
            f"There is no query {query} in a {grid[0]}×{grid[1]} grid: choose 0 to {patches - 1}."
        )
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
    place: Axes,
    picture: np.ndarray,
    look: np.ndarray,
    grid: Grid,
    query: int | np.integer,
    most: Number,
    smooth: bool,
) -> None:
    place.imshow(heated(picture, look, most, smooth))
    place.plot(*centre(picture, grid, query), **ring(5))
    place.set(xticks=[], yticks=[])
