"""Heat over a dimmed photograph, the ring that marks a patch, and the colour bar that reads them."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from PIL import Image

from muse_core.figures.picture import Number
from muse_core.figures.theme import ATTENTION_MAP


def heated(
    picture: np.ndarray, values: np.ndarray, most: Number, smooth: bool = False
) -> np.ndarray:
    """uint8 (h, w, 3): the dimmed, grey image under ``values`` (grid), opaque where they reach
    ``most``.
    """
    height, width = picture.shape[:2]
    method = Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST
    share = np.clip(np.nan_to_num(np.asarray(values, dtype=np.float32)) / most, 0, 1)
    large = np.asarray(Image.fromarray(share).resize((width, height), method))[..., None]
    grey = np.repeat(picture.mean(-1, keepdims=True), 3, axis=-1) * 0.45
    opacity = np.clip(0.25 + 0.75 * large, 0, 1)
    return np.rint(
        (1 - opacity) * grey + opacity * colormaps[ATTENTION_MAP](large[..., 0])[..., :3] * 255
    ).astype(np.uint8)


def largest(looks: Sequence[np.ndarray]) -> float:
    """The largest finite value of a row of maps; 1 when there is none, so that it can divide."""
    return max((float(np.max(np.nan_to_num(look))) for look in looks), default=0.0) or 1.0


def centre(
    picture: np.ndarray, grid: tuple[int, int], query: int | np.integer
) -> tuple[float, float]:
    """The pixel (x, y) in the middle of a patch."""
    row, column = divmod(query, grid[1])
    return (column + 0.5) * picture.shape[1] / grid[1] - 0.5, (row + 0.5) * picture.shape[0] / grid[
        0
    ] - 0.5


def ring(size: Number) -> dict[str, object]:
    return {
        "marker": "o",
        "markersize": size,
        "markerfacecolor": "none",
        "markeredgecolor": "#ff2d55",
        "linestyle": "none",
    }


def colour_bar(still: Figure, places: Sequence[Axes], most: Number, unit: str) -> None:
    """The row's colour bar, from nothing to its largest value."""
    bar = still.colorbar(
        ScalarMappable(Normalize(0, most), ATTENTION_MAP), ax=places, shrink=0.8, aspect=15
    )
    bar.set_ticks([0, most], labels=["0", f"{most:.2g}"])
    bar.set_label(unit, fontsize=8)
