"""Attention drawn over the image it looks at. A map's row is its query ("who looks"), its column a
key ("at what").
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image, ImageColor

from muse_core.errors import MuseError
from muse_core.figures.images import Images, pixels, sheet
from muse_core.figures.marks import Axis, Heat, Line, Panel, Tile, spread
from muse_core.figures.picture import Picture
from muse_core.figures.theme import HEAT, MARK

Grid = tuple[int, int]
"""Patches down and across: patch k sits at row k // across, column k % across."""


def attention_comparison(
    image: Images,
    maps: Mapping[str, np.ndarray],
    grid: Grid,
    queries: Sequence[int] | np.ndarray,
    title: str = "Where the marked patches look",
    alike: bool = True,
) -> Picture:
    """One row a query: the query on the image, then where each labelled map looks from it.

    Args:
        image: Numbers in [0, 1], (h, w, 3) or (3, h, w).
        maps: Label -> attention (N, N) with rows that sum to 1, N the product of the grid.
        grid: Patches down and across.
        queries: Numbers of patches.
        title: What the maps show.
        alike: Whether the maps of a row share a scale; else each has its own, said below it.

    Raises:
        MuseError: A map or a query does not fit the grid.
    """
    picture = pixels(np.asarray(image)[None])[0]
    rows, names, below, patches = [], [], [], grid[0] * grid[1]
    for query in queries:
        looks = [_looks(found, grid, query, label) for label, found in maps.items()]
        own, ring = [largest([look]) for look in looks], [centre(picture, grid, query)]
        scales = [max(own)] * len(own) if alike else own
        heated_ = [
            Tile(heated(picture, look, most), ring)
            for look, most in zip(looks, scales, strict=True)
        ]
        rows.append([Tile(picture, ring, 9.0), *heated_])
        row, column = divmod(int(query), grid[1])
        most = f":\nup to {max(own) * patches:.2g} × uniform" if alike else ""
        names.append(f"row {row + 1}, column {column + 1}{most}")
        below.append(["", *(f"up to {each * patches:.2g} × uniform" for each in own)])
    bar = f"attention, each {'row' if alike else 'map'} over its own largest"
    captions = () if alike else below
    return sheet(rows, title, names, ["patch", *maps], captions, bar=bar).shown("attention")


def attention_atlas(
    maps: np.ndarray,
    grid: Grid,
    query: int | np.integer,
    title: str = "Where one patch looks, by layer and head",
) -> Picture:
    """Every head of every layer from one query, tiled: layers down, heads across, one scale a
    layer.

    Args:
        maps: Attention (layers, heads, N, N) with rows that sum to 1.
        grid: Patches down and across, N in all.
        query: Number of a patch.
        title: What the maps show.

    Raises:
        MuseError: The maps or the query do not fit the grid.
    """
    layers, heads = maps.shape[:2]
    rows = []
    for layer, by_head in enumerate(maps):
        looks = np.stack([_looks(found, grid, query, f"layer {layer + 1}") for found in by_head])
        rows.append(looks / largest(list(looks)))
    sheet_, (height, width) = tiled(np.stack(rows)), grid
    ends = {"unit": "attention over its layer's largest", "ends": ("0", "1")}
    down, across = np.divmod(np.arange(layers * heads), heads)
    x, y = across * (width + 1) + query % width, down * (height + 1) + query // width
    rings = Line(x, y, "", MARK, 0, marker="circle-open", size=6, hover=())
    x_axis, y_axis = _numbered("head", width, heads), _numbered("layer", height, layers)
    y_axis = replace(y_axis, limits=(sheet_.shape[0] - 0.5, -0.5))
    panel = Panel([Heat(sheet_, 0, 1, spread(HEAT), **ends), rings], x_axis, y_axis, square=True)
    side = min(1.0, 8 / heads)
    size = (max(5.0, side * heads + 1.6), max(2.5, side * layers * height / width + 1.2))
    return Picture(title, [panel], size, "atlas")


def saliency_comparison(
    images: Images, values: Mapping[str, np.ndarray], title: str = "Attention received"
) -> Picture:
    """One row an image: the image, then each label's values laid over it, each map from 0 to its
    own largest value.

    Grids may differ, and with them what one patch can hold: so no two maps share a scale, and each
    map's largest value stands below it.

    Args:
        images: Numbers in [0, 1], (n, h, w, 3) or (n, 3, h, w).
        values: Label -> one value a patch, (n, rows, columns).
        title: What the maps show.

    Raises:
        MuseError: Values do not fit the images.
    """
    grids = {label: np.asarray(maps, dtype=np.float32) for label, maps in values.items()}
    for label, maps in grids.items():
        if maps.ndim != 3 or len(maps) != len(images) or not maps.size:
            words = f"The values {label!r} have shape {maps.shape}"
            raise MuseError(f"{words}: give (images, rows, columns) for {len(images)} images.")
    rows, below = [], []
    for at, tile in enumerate(pixels(images)):
        shown = [maps[at] for maps in grids.values()]
        rows.append([Tile(tile), *(Tile(heated(tile, one, largest([one]))) for one in shown)])
        below.append(["", *(f"largest {np.nan_to_num(one).max():.2g}" for one in shown)])
    bar = "attention received, each map over its own largest"
    return sheet(rows, title, (), ["image", *grids], below, bar=bar).shown("saliency")


def heated(picture: np.ndarray, values: np.ndarray, most: float) -> np.ndarray:
    """uint8 (h, w, 3): the dimmed, grey image under ``values`` (grid), opaque where they reach
    ``most``.
    """
    height, width = picture.shape[:2]
    share = np.clip(np.nan_to_num(np.asarray(values, dtype=np.float32)) / most, 0, 1)
    large = np.asarray(Image.fromarray(share).resize((width, height), Image.Resampling.NEAREST))
    grey = picture.mean(-1, keepdims=True) * 0.45
    opacity = 0.25 + 0.75 * large[..., None]
    stops = np.array([ImageColor.getrgb(colour) for colour in HEAT])
    places = np.linspace(0, 1, len(HEAT))
    colours = np.stack([np.interp(large, places, stops[:, at]) for at in range(3)], axis=-1)
    return np.rint((1 - opacity) * grey + opacity * colours).astype(np.uint8)


def largest(looks: Sequence[np.ndarray]) -> float:
    """The largest finite value of a row of maps; 1 when there is none, so that it can divide."""
    return max((float(np.max(np.nan_to_num(look))) for look in looks), default=0.0) or 1.0


def centre(picture: np.ndarray, grid: Grid, query: int | np.integer) -> tuple[float, float]:
    """The pixel (x, y) in the middle of a patch."""
    (row, column), (height, width) = divmod(int(query), grid[1]), picture.shape[:2]
    return (column + 0.5) * width / grid[1] - 0.5, (row + 0.5) * height / grid[0] - 0.5


def tiled(maps: np.ndarray) -> np.ndarray:
    """Maps (rows, columns, h, w) as one picture, one empty (NaN) line between neighbours."""
    rows, columns, height, width = maps.shape
    gaps = ((0, 0), (0, 0), (0, 1), (0, 1))
    padded = np.pad(maps.astype(np.float32), gaps, constant_values=np.nan)
    flat = padded.transpose(0, 2, 1, 3).reshape(rows * (height + 1), columns * (width + 1))
    return flat[:-1, :-1]


def _numbered(words: str, step: int, count: int) -> Axis:
    """An axis with a number in the middle of each tile."""
    ticks = {at * (step + 1) + (step - 1) / 2: str(at + 1) for at in range(count)}
    return Axis(words, ticks=ticks, limits=(-0.5, count * (step + 1) - 1.5), grid=False)


def _looks(found: np.ndarray, grid: Grid, query: int | np.integer, label: str) -> np.ndarray:
    """The query's row of a map (N, N), as a grid (h, w)."""
    patches, words = grid[0] * grid[1], f"a {grid[0]}×{grid[1]} grid"
    if np.shape(found) != (patches, patches):
        given = f"The map {label!r} has shape {np.shape(found)}"
        raise MuseError(f"{given} but {words} needs {patches} a side.")
    if not 0 <= query < patches:
        raise MuseError(f"There is no query {query} in {words}: choose 0 to {patches - 1}.")
    return np.asarray(found, dtype=np.float32)[query].reshape(grid)
