"""What a figure consists of: marks with their numbers, axes and panels; data that two renderers
draw alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import shorten, wrap
from typing import Any
from unicodedata import east_asian_width

import numpy as np

from muse_core.figures.theme import INK, MUTED

Number = int | float | np.number
"""A length, a share or a measured value, whichever of these kinds a caller holds."""

Length = int | float


@dataclass(frozen=True, eq=False)
class Line:
    """Points joined by a line of ``width`` (0: points alone), with a ``marker`` (plotly's word) on
    each, or the area inside it ``filled``; NaN is a gap.

    ``low`` and ``high``: the ends of each point's interval, along x where ``across``. ``name``: its
    entry in the legend; ``group``: what is switched on and off with it. ``hover``: words a point;
    () for none, None for its numbers."""

    x: np.ndarray
    y: np.ndarray
    name: str = ""
    colour: str = INK
    width: Length = 2.0
    dash: str = "solid"
    marker: str = ""
    size: Length = 7.0
    opacity: Length = 1.0
    group: str = ""
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    across: bool = False
    filled: bool = False
    hover: Sequence[str] | None = None

    @property
    def ends(self) -> np.ndarray | None:
        """Lengths (2, n) of the intervals below and above the points; 0 where there is none."""
        return _ends(self.x if self.across else self.y, self.low, self.high)


@dataclass(frozen=True, eq=False)
class Bars:
    """Bars from 0 to ``lengths``, lying where ``across``, each with its text at its end."""

    at: np.ndarray
    lengths: np.ndarray
    colour: str
    width: Length = 0.65
    name: str = ""
    across: bool = False
    texts: Sequence[str] = ()
    low: np.ndarray | None = None
    high: np.ndarray | None = None

    @property
    def ends(self) -> np.ndarray | None:
        """Lengths (2, n) of the intervals below and above the bars' ends; 0 where there is none."""
        return _ends(self.lengths, self.low, self.high)


@dataclass(frozen=True, eq=False)
class Heat:
    """``z`` (rows, columns) as coloured cells between ``low`` and ``high``.

    ``scale``: (place in 0..1, colour) pairs. ``texts``: what stands in each cell. ``names``: whole
    names of rows and columns, for the hover. ``unit``: words beside the colour bar, which is left
    out without them; ``ends``: what stands at its ends. ``diagonal``: cells (i, i) are outlined;
    ``gap``: width of the white lines between cells."""

    z: np.ndarray
    low: Length
    high: Length
    scale: Sequence[tuple[Length, str]]
    texts: Sequence[Sequence[str]] = ()
    names: tuple[Sequence[str], Sequence[str]] | None = None
    unit: str = ""
    ends: tuple[str, str] | None = None
    diagonal: bool = False
    gap: Length = 0.0


@dataclass(frozen=True)
class Rule:
    """A line through the whole panel at x = ``at``, or y where ``across``; ``text`` stands at its
    end.
    """

    at: Length
    text: str = ""
    across: bool = False
    colour: str = MUTED
    dash: str = "dash"


@dataclass(frozen=True)
class Words:
    """A text beside the point (x, y), to its "right" or "left"."""

    x: Length
    y: Length
    text: str
    side: str = "right"
    colour: str = INK


@dataclass(frozen=True, eq=False)
class Tile:
    """One image (h, w, 3) uint8; ``rings`` around pixels (x, y); ``outline``: a mask (h, w)."""

    image: np.ndarray
    rings: Sequence[tuple[Length, Length]] = ()
    ring_size: Length = 5.0
    outline: np.ndarray | None = None


Mark = Line | Bars | Heat | Rule | Words | Tile


@dataclass(frozen=True)
class Axis:
    """``ticks``: place -> text; ``limits``: its ends, the larger first to turn it round; ``tilted``
    texts save room.
    """

    words: str = ""
    log: bool = False
    limits: tuple[Length, Length] | None = None
    ticks: Mapping[Any, str] | None = None
    grid: bool = True
    tilted: bool = False
    on_top: bool = False


@dataclass(frozen=True)
class Panel:
    """Marks in one pair of axes; ``square``: one unit of x is as long as one of y."""

    marks: Sequence[Mark]
    x: Axis = Axis()
    y: Axis = Axis()
    title: str = ""
    square: bool = False

    @property
    def rules(self) -> list[Rule]:
        """Its lines that have a text."""
        return [mark for mark in self.marks if isinstance(mark, Rule) and mark.text]

    @property
    def raised(self) -> bool:
        """Whether its title must leave room for the texts of upright lines."""
        return any(not rule.across for rule in self.rules)


@dataclass(frozen=True, eq=False, repr=False)
class Drawing:
    """Panels in reading order, ``columns`` side by side, ``size`` in inches; ``name``: of the file
    a reader saves.

    ``key``: words -> colour, for a legend of colours that no mark names. ``bar``: words for a
    colour bar below images, from 0 to each map's largest. ``joint_hover``: all lines answer at one
    x."""

    title: str
    panels: Sequence[Panel]
    size: tuple[Length, Length]
    name: str
    columns: int = 1
    key: Mapping[str, str] = field(default_factory=dict)
    bar: str = ""
    joint_hover: bool = False

    @property
    def is_image(self) -> bool:
        """Whether it consists of images, where looking closer shows no more."""
        return any(isinstance(mark, Tile) for panel in self.panels for mark in panel.marks)


def _ends(at: np.ndarray, low: np.ndarray | None, high: np.ndarray | None) -> np.ndarray | None:
    if low is None or high is None:
        return None
    return np.nan_to_num(np.stack([at - low, high - at])).clip(min=0)


def gapped(*columns: np.ndarray) -> np.ndarray:
    """Coordinates of many strokes as one line's: each stroke a row of ``columns``, then a gap."""
    return np.stack([*columns, np.full(len(columns[0]), np.nan)], axis=1).ravel()


def spread(colours: Sequence[str]) -> list[tuple[float, str]]:
    """Colours spread evenly over a scale."""
    return [(at / (len(colours) - 1), colour) for at, colour in enumerate(colours)]


def extent(values: np.ndarray) -> tuple[float, float]:
    """Smallest and largest finite value; (0, 1) when there is none."""
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)


def decimals(values: np.ndarray, most: int = 4) -> int:
    """Digits after the point that tell these values apart: two that matter of their range."""
    low, high = extent(np.asarray(values, dtype=float))
    span = high - low or abs(high)
    return int(np.clip(1 - np.floor(np.log10(span)), 0, most)) if span > 0 else 0


def log_ticks(values: np.ndarray) -> dict[float, str]:
    """Ticks of a logarithmic axis: 1, 2 and 5 of each decade, or decades alone where there are
    many.
    """
    low, high = extent(values[values > 0])
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    steps = (1, 2, 5) if len(decades) <= 4 else (1,)
    ticks = [step * 10.0**decade for decade in decades for step in steps]
    return {at: f"{at:,.10g}" for at in ticks if 0.8 * low <= at <= 1.25 * high}


def wrapped(text: object, width: int, longest: int = 400) -> str:
    """The text in lines of at most ``width`` letters, cut with an ellipsis beyond ``longest``; a
    wide letter counts as two.
    """
    whole = str(text)
    wide = sum(east_asian_width(letter) in "WF" for letter in whole)
    width = round(width * len(whole) / (len(whole) + wide)) if wide else width
    return "\n".join(wrap(shorten(whole, longest, placeholder="…"), max(8, width)))
