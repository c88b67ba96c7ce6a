"""A few numbers beside each other: bars, dots with their intervals, and the lines to hold them to."""

from collections.abc import Mapping, Sequence

import numpy as np

from muse_core.errors import MuseError
from muse_core.figures.marks import (
    Axis,
    Bars,
    Line,
    Mark,
    Number,
    Panel,
    Rule,
    Words,
    decimals,
    extent,
    halves,
    wrapped,
)
from muse_core.figures.picture import Picture, nothing
from muse_core.figures.tables import CHANCE, metric_named, number_text, scaled
from muse_core.figures.theme import INK, LOSS_COLOURS, MUTED, SEQUENCE, STAGE_COLOURS
from muse_core.results.measurements import Row, StudyRecord

COLOUR, TARGET_COLOUR = STAGE_COLOURS[2], LOSS_COLOURS["anchor"]
WithInterval = tuple[Number, Number, Number]
"""Value, low, high."""


def bars(
    values: Mapping[str, Number],
    title: str,
    unit: str = "",
    target: Number | None = None,
    target_name: str = "target",
) -> Picture:
    """Horizontal bars in the given order, the first on top; a number that is missing (NaN) is said
    to be so.

    Args:
        values: Name -> number.
        title: What the bars show.
        unit: Of the numbers.
        target: Where a dashed line stands.
        target_name: What this line is.

    Raises:
        MuseError: There is no number.
    """
    if not values:
        raise nothing(title, "name and its number")
    numbers = np.array([float(value) for value in values.values()])
    digits = decimals(numbers)
    texts = [f"{each:,.{digits}f}" if np.isfinite(each) else "not measured" for each in numbers]
    lengths = np.nan_to_num(numbers)
    marks: list[Mark] = [Bars(np.arange(len(values)), lengths, COLOUR, across=True, texts=texts)]
    ends = [0.0, *lengths]
    if target is not None:
        marks.append(Rule(float(target), f"{target_name} {target:.4g}", colour=TARGET_COLOUR))
        ends.append(float(target))
    limits = (min(ends) * 1.15, max(ends) * 1.15 or 1.0)
    return _lying(marks, list(values), title, Axis(unit, limits=limits), "bars")


def intervals(rows: Sequence[Row], metric: str, title: str) -> Picture:
    """A dot a row with its 95 % interval, the first on top; "chance" is a dashed line, rows without
    a value are left out.

    Raises:
        MuseError: The metric is unknown, or no row has a value.
    """
    kind = metric_named(metric)
    held = {row.name: scaled(row, metric) for row in rows}
    chance = held.pop(CHANCE, None)
    dots = {name: numbers for name, numbers in held.items() if numbers}
    if not dots:
        raise MuseError(
            f"There is nothing to draw in {title!r}: no row has a value for {metric!r}."
        )
    marks: list[Mark] = []
    if chance:
        text = f"{CHANCE} {number_text(chance[0], kind)}"
        marks.append(Rule(chance[0], text, colour=TARGET_COLOUR))
    marks += _dots(dots, [number_text(value, kind) for value, _, _ in dots.values()])
    ends = [*(end for three in dots.values() for end in three), *(chance or ())]
    better = "higher" if kind.better > 0 else "lower"
    unit = f" in {kind.unit}" if kind.unit else ""
    words = f"{kind.words}{unit}, with 95 % interval ({better} is better)"
    return _lying(marks, list(dots), title, Axis(words, limits=_room(ends)), f"intervals-{metric}")


def study_differences(record: StudyRecord, metric: str, title: str) -> Picture:
    """A dot a row of a study: its difference to the first row with the interval, each seed a stroke
    below it.

    Raises:
        MuseError: The metric is unknown, or no row has a difference.
    """
    kind = metric_named(metric)
    cells = {row.name: row.cells[metric] for row in record.rows if metric in row.cells}
    cells = {name: cell for name, cell in cells.items() if cell.difference is not None}
    if not cells:
        raise MuseError(
            f"There is nothing to draw in {title!r}: no row has a difference in {metric!r}."
        )
    dots = {}
    for name, cell in cells.items():
        ends = (cell.difference, cell.difference_low, cell.difference_high)
        value, low, high = (cell.difference if end is None else end for end in ends)
        dots[name] = (value * kind.scale, low * kind.scale, high * kind.scale)
    seeds = [
        (each * kind.scale, at)
        for at, cell in enumerate(cells.values())
        for each in cell.differences_by_seed
    ]
    x, y = np.array(seeds, dtype=float).reshape(-1, 2).T
    texts = [number_text(value, kind, "+") for value, _, _ in dots.values()]
    strokes = Line(x, y + 0.25, "", MUTED, 0, marker="line-ns-open", size=8)
    marks: list[Mark] = [Rule(0.0, colour=INK, dash="solid"), *_dots(dots, texts), strokes]
    unit = f", {'points' if kind.unit == '%' else kind.unit}" if kind.unit else ""
    words = f"{kind.words}: difference to {record.rows[0].name}{unit}"
    ends = [0.0, *x, *(end for three in dots.values() for end in three)]
    axis = Axis(f"{words} (bar: 95 % interval, strokes: seeds)", limits=_room(ends))
    return _lying(marks, list(dots), title, axis, f"differences-{metric}")


def following_bars(
    values: Mapping[str, Mapping[str, WithInterval]],
    ceiling: Mapping[str, Number],
    chance: Mapping[str, Number],
    title: str,
) -> Picture:
    """Categories side by side, one bar a generator with its interval; strokes for the judge on real
    images, and for chance.

    Args:
        values: Generator -> category -> share, low, high, each in 0..1.
        ceiling: Category -> share that the judge finds in real images.
        chance: Category -> share of a guess.
        title: What the bars show.

    Raises:
        MuseError: There is no generator.
    """
    if not values:
        raise nothing(title, "generator")
    categories, width = list(next(iter(values.values()))), 0.8 / len(values)
    at = np.arange(len(categories))
    marks: list[Mark] = []
    for position, ((name, held), colour) in enumerate(zip(values.items(), SEQUENCE, strict=False)):
        three = np.array([held[each] for each in categories], dtype=float) * 100
        below, above = np.array([halves(*each) for each in three]).T
        places = at + (position - (len(values) - 1) / 2) * width
        ends = {"below": below, "above": above}
        marks.append(Bars(places, three[:, 0], colour, width * 0.92, name, **ends))
    for shares, words, dash in (
        (ceiling, "judge on real scenes", "solid"),
        (chance, "chance", "dot"),
    ):
        heights = np.array([100 * float(shares.get(each, np.nan)) for each in categories])
        x = np.stack([at - 0.42, at + 0.42, np.full(len(at), np.nan)], axis=1).ravel()
        y = np.stack([heights, heights, np.full(len(at), np.nan)], axis=1).ravel()
        marks.append(Line(x, y, words, INK, 1.5, dash))
    x_axis = Axis(ticks=dict(enumerate(categories)), grid=False)
    y_axis = Axis("images that follow their prompt (%)", limits=(0, 105))
    return Picture(title, [Panel(marks, x_axis, y_axis)], (8.5, 4.4), "following")


def _dots(dots: Mapping[str, tuple[float, float, float]], texts: Sequence[str]) -> list[Mark]:
    """A dot a row with its interval, and its number right of it."""
    value, low, high = np.array(list(dots.values())).T
    below, above = np.array([halves(*three) for three in dots.values()]).T
    hover = [
        f"{name}\n{text}, 95 %: {start:.4g} to {end:.4g}"
        for name, text, start, end in zip(dots, texts, low, high, strict=True)
    ]
    style = {"marker": "circle", "size": 9, "across": True, "hover": hover}
    at = np.arange(len(value), dtype=float)
    marks: list[Mark] = [Line(value, at, "", COLOUR, 0, below=below, above=above, **style)]
    right = np.maximum(value, high)
    return marks + [Words(x, y, text) for x, y, text in zip(right, at, texts, strict=True)]


def _room(ends: Sequence[float]) -> tuple[float, float]:
    """The ends of an axis that has room for a number right of its last dot."""
    low, high = extent(np.array(ends, dtype=float))
    span = high - low or 0.1 * abs(high) or 1.0
    return low - 0.05 * span, high + 0.14 * span


def _lying(marks: Sequence[Mark], names: Sequence[str], title: str, x: Axis, name: str) -> Picture:
    """One row a name, the first on top."""
    ticks = {float(at): wrapped(each, 34, 68) for at, each in enumerate(names)}
    y = Axis(limits=(len(names) - 0.4, -0.6), ticks=ticks, grid=False)
    size = (8.0, 0.42 * len(names) + 1.7)
    return Picture(title, [Panel(marks, x, y)], size, name.replace("_", "-"))
