"""What every table shares: numbers in a metric's unit, cells, and the frame, whose look is
``table.html.j2``.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from muse_core.errors import unknown
from muse_core.results.measurements import METRICS, Metric, Row

CHANCE, REAL_IMAGES = "chance", "real images"
"""The row of guesses, also a line in a plot, and the row of the data itself."""


@dataclass(frozen=True)
class Cell:
    """``below``: a quiet second line; ``note``: a raised letter; ``head``: "row" or "col" where it
    names one; ``words``: left and broken into lines, not a number at the right; ``verdict``:
    "better" or "worse" colours it.
    """

    text: str
    below: str = ""
    head: str = ""
    words: bool = False
    bold: bool = False
    verdict: str = ""
    tip: str = ""
    note: str = ""
    style: str = ""


def metric_named(name: str) -> Metric:
    """Raises MuseError for an unknown name."""
    if name not in METRICS:
        raise unknown("metric", name, METRICS)
    return METRICS[name]


def number_text(number: float, metric: Metric, sign: str = "") -> str:
    """A number in the metric's unit and digits; a difference (``sign`` "+") gets one digit more,
    being small.
    """
    return f"{number:{sign}z.{metric.digits + bool(sign)}f}".replace("-", "−")


def difference_unit(metric: Metric) -> str:
    """What a difference of two values is counted in."""
    return "points" if metric.unit == "%" else metric.unit


def scaled(row: Row, metric: str) -> tuple[float, float, float] | None:
    """Value, low and high in the metric's unit, both ends the value where no interval exists; None
    without a value.
    """
    found, scale = row.measurements.get(metric), METRICS[metric].scale
    if found is None or found.value is None or not math.isfinite(found.value):
        return None
    low, high = (found.value if end is None else end for end in (found.low, found.high))
    return found.value * scale, low * scale, high * scale


def value_and_interval(row: Row, metric: str, between: str) -> tuple[str, str] | None:
    """Both as texts in the metric's unit, the interval empty where there is none; None without a
    value.
    """
    three = scaled(row, metric)
    if three is None:
        return None
    value, low, high = (number_text(each, METRICS[metric]) for each in three)
    return value, f"{low}{between}{high}" if row.measurements[metric].low is not None else ""


def row_name(name: str, below: str = "", bold: bool = False) -> Cell:
    """The first cell of a row."""
    style = "min-width:8em;max-width:18em;text-wrap:balance"
    return Cell(name, below, "row", words=True, bold=bold, style=style)


def heads(*names: str, words: bool = True) -> list[Cell]:
    """Heads of columns that hold words, or numbers."""
    style = "vertical-align:bottom;white-space:normal"
    return [Cell(name, head="col", words=words, bold=True, style=style) for name in names]


def metric_head(metric: Metric, least: float = 6.8) -> Cell:
    """A column's head: words, unit, and which way is better; ``least``: its width in
    em, at least.
    """
    arrow, tip = ("↑", "higher is better") if metric.better > 0 else ("↓", "lower is better")
    style = f"white-space:normal;overflow-wrap:normal;min-width:{least}em;max-width:8em"
    style += ";vertical-align:bottom"
    return Cell(metric.words, f"{metric.unit} {arrow}", "col", bold=True, tip=tip, style=style)


def table(
    caption: str,
    head: Iterable[Cell],
    rows: Iterable[Sequence[Cell]],
    notes: Sequence[tuple[str, str]] = (),
) -> str:
    """A table (HTML, all texts escaped) that scrolls in its own box, and notes (letter, text) below
    it.
    """
    return _template().render(caption=caption, head=head, rows=rows, notes=notes)


@cache
def _template() -> Any:
    from jinja2 import Environment

    source = Path(__file__).with_name("table.html.j2").read_text(encoding="utf-8")
    return Environment(autoescape=True).from_string(source)
