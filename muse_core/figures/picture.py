"""`Picture`, the two faces of every figure: interactive (plotly) and still (matplotlib), and what
they share.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import shorten, wrap

import numpy as np
import plotly.graph_objects as go
from matplotlib.figure import Figure

from muse_core.figures.theme import plotly_template

Number = int | float | np.number
"""A length, a share or a measured value, whichever of these kinds a caller holds."""

Z_STEPS = 255
"""Maps travel as whole numbers 1..255; 0 means "nothing here" (a gap between tiles, or not a
number).
"""


@dataclass(frozen=True)
class Picture:
    """What `publish.show` takes. ``figure`` is None where looking closer would show nothing more."""

    figure: go.Figure | None
    still: Figure


def blank(width: Number, height: Number, title: str = "") -> Figure:
    """A matplotlib figure of this size (inches) that no global state knows of, so it cannot leak."""
    still = Figure(figsize=(width, height), layout="constrained")
    if title:
        still.suptitle(wrapped(title, int(width * 10), "\n"), fontsize=12)
    return still


def interactive(title: str, height: int, **layout: object) -> go.Figure:
    """An empty plotly figure, ``height`` in pixels, whose page is as small as it can be."""
    figure = go.Figure()
    figure.update_layout(
        template=plotly_template(), title_text=wrapped(title, 90), height=height, **layout
    )
    return figure


def wrapped(text: str, width: int, newline: str = "<br>", longest: int = 400) -> str:
    """The text in lines of at most ``width`` characters, cut with an ellipsis beyond ``longest``.

    With "\\n" between its lines it is for a still, and `plain`.
    """
    whole = newline.join(wrap(shorten(str(text), longest, placeholder="…"), max(8, width)))
    return plain(whole) if newline == "\n" else whole


def plain(text: object) -> str:
    """A text as matplotlib shows it letter by letter: between dollars it would look for formulas,
    and fail on most captions.
    """
    return str(text).replace("$", r"\$")


def quantised(values: np.ndarray, low: Number, high: Number) -> np.ndarray:
    """``values`` in [low, high] as uint8 in 1..255 (a ninth of float64's JSON); not-a-number
    becomes 0.
    """
    span = high - low if high > low else 1.0
    scaled = 1 + np.clip((values - low) / span, 0, 1) * (Z_STEPS - 1)
    return np.where(np.isfinite(values), np.rint(np.nan_to_num(scaled)), 0).astype(np.uint8)


def colour_scale(names: Sequence[str]) -> list[list[object]]:
    """A plotly colour scale for `quantised` maps: white at 0, then ``names`` spread over 1..255."""
    positions = np.linspace(1 / Z_STEPS, 1, len(names))
    return [
        [0, "white"],
        [0.5 / Z_STEPS, "white"],
        *([float(at), name] for at, name in zip(positions, names, strict=True)),
    ]


def extent(values: np.ndarray) -> tuple[float, float]:
    """Smallest and largest finite value; (0, 1) when there is none."""
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
