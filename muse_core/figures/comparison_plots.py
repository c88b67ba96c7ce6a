"""A few numbers beside each other: bars, dots with their intervals, and the lines to
hold them to.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from muse_core.figures import marks
from muse_core.figures.marks import Axis, Line, Mark, Number, Rule
from muse_core.figures.picture import Picture, nothing
from muse_core.figures.tables import CHANCE, difference_unit, metric_named, number_text, scaled
from muse_core.figures.theme import INK, LOSS_COLOURS, MUTED, SEQUENCE, STAGE_COLOURS
from muse_core.results.measurements import Row, StudyRecord

COLOUR, TARGET_COLOUR = STAGE_COLOURS[2], LOSS_COLOURS["anchor"]
Interval = tuple[Number, Number, Number]
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
    """
    numbers = np.array([float(value) for value in values.values()])
    digits, lengths = marks.decimals(numbers), np.nan_to_num(numbers)
    texts = [f"{each:,.{digits}f}" if np.isfinite(each) else "not measured" for each in numbers]
    drawn: list[Mark] = [
        marks.Bars(np.arange(len(values)), lengths, COLOUR, across=True, texts=texts)
    ]
    if target is not None:
        drawn.append(Rule(float(target), f"{target_name} {target:.4g}", colour=TARGET_COLOUR))
    ends = np.array([0.0, *lengths, *([] if target is None else [target])]) * 1.15
    axis = Axis(unit, limits=(ends.min(), ends.max() or 1.0))
    return _lying(drawn, list(values), title, axis, "bars")


def intervals(rows: Sequence[Row], metric: str, title: str) -> Picture:
    """A dot a row with its 95 % interval, the first on top; "chance" is a dashed line, rows without
    a value are left out.

    Raises:
        MuseError: The metric is unknown, or no row has a value.
    """
    kind = metric_named(metric)
    held = {row.name: three for row in rows if (three := scaled(row, metric))}
    chance = held.pop(CHANCE, ())
    if not held:
        raise nothing(title, f"row with a value for {metric!r}")
    drawn: list[Mark] = []
    for level in chance[:1]:
        drawn.append(Rule(level, f"{CHANCE} {number_text(level, kind)}", colour=TARGET_COLOUR))
    drawn += _dots(held, [number_text(value, kind) for value, _, _ in held.values()])
    better = "higher" if kind.better > 0 else "lower"
    unit = f" in {kind.unit}" if kind.unit else ""
    words = f"{kind.words}{unit}, with 95 % interval ({better} is better)"
    axis = Axis(words, limits=_room([*held.values(), chance]))
    return _lying(drawn, list(held), title, axis, f"intervals-{metric}")


def study_differences(record: StudyRecord, metric: str, title: str) -> Picture:
    """A dot a row of a study: its difference to the first row with the interval, each seed a stroke
    below it.

    Raises:
        MuseError: The metric is unknown, or no row has a difference.
    """
    kind, dots, seeds = metric_named(metric), {}, []
    for row in record.rows:
        cell = row.cells.get(metric)
        if cell and cell.difference is not None:
            ends = (cell.difference, cell.difference_low, cell.difference_high)
            each = (cell.difference if end is None else end for end in ends)
            seeds += [(each * kind.scale, len(dots)) for each in cell.differences_by_seed]
            name = f"{row.name} to {row.against}" if row.against else row.name
            dots[name] = tuple(end * kind.scale for end in each)
    if not dots:
        raise nothing(title, f"row with a difference in {metric!r}")
    x, y = np.array(seeds, dtype=float).reshape(-1, 2).T
    texts = [number_text(value, kind, "+") for value, _, _ in dots.values()]
    strokes = Line(x, y + 0.25, "", MUTED, 0, marker="line-ns-open", size=8)
    unit = f", {difference_unit(kind)}" if kind.unit else ""
    others = ", or to the row named" if any(row.against for row in record.rows) else ""
    words = f"{kind.words}: difference to {record.rows[0].name}{others}{unit}"
    axis = Axis(
        f"{words} (bar: 95 % interval, strokes: seeds)", limits=_room([(0.0,), *dots.values(), x])
    )
    drawn = [Rule(0.0, colour=INK, dash="solid"), *_dots(dots, texts), strokes]
    return _lying(drawn, list(dots), title, axis, f"differences-{metric}")


def following_bars(
    values: Mapping[str, Mapping[str, Interval]],
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
    """
    categories, width, drawn = list(next(iter(values.values()))), 0.8 / len(values), []
    at = np.arange(len(categories))
    for position, ((name, held), colour) in enumerate(zip(values.items(), SEQUENCE, strict=False)):
        share, low, high = np.array([held[each] for each in categories], dtype=float).T * 100
        places = at + (position - (len(values) - 1) / 2) * width
        drawn.append(marks.Bars(places, share, colour, width * 0.92, name, low=low, high=high))
    lines = (ceiling, "judge on real scenes", "solid"), (chance, "chance", "dot")
    for shares, words, dash in lines:
        height = np.array([100 * float(shares.get(each, np.nan)) for each in categories])
        x, y = marks.gapped(at - 0.42, at + 0.42), marks.gapped(height, height)
        drawn.append(Line(x, y, words, INK, 1.5, dash))
    y_axis = Axis("images that follow their prompt (%)", limits=(0, 105))
    panel = marks.Panel(drawn, Axis(ticks=dict(enumerate(categories)), grid=False), y_axis)
    return Picture(title, [panel], (8.5, 4.4), "following")


def _dots(dots: Mapping[str, tuple], texts: Sequence[str]) -> Sequence[Mark]:
    """A dot a row with its interval, and its number right of it."""
    value, low, high = np.array(list(dots.values()), dtype=float).T
    at, right = np.arange(len(value), dtype=float), np.maximum(value, high)
    hover = [
        f"{name}\n{text}, 95 %: {start:.4g} to {end:.4g}"
        for name, text, start, end in zip(dots, texts, low, high, strict=True)
    ]
    style = {"marker": "circle", "size": 9, "across": True, "hover": hover}
    words = [marks.Words(x, y, text) for x, y, text in zip(right, at, texts, strict=True)]
    return [Line(value, at, "", COLOUR, 0, low=low, high=high, **style), *words]


def _room(ends: Sequence[Sequence[float] | np.ndarray]) -> tuple[float, float]:
    """The ends of an axis that has room for a number right of its last dot."""
    low, high = marks.extent(np.concatenate(ends))
    span = high - low or 0.1 * abs(high) or 1.0
    return low - 0.05 * span, high + 0.14 * span


def _lying(drawn: Sequence[Mark], names: Sequence[str], title: str, x: Axis, name: str) -> Picture:
    """One row a name, the first on top."""
    ticks = {float(at): marks.wrapped(each, 34, 68) for at, each in enumerate(names)}
    y = Axis(limits=(len(names) - 0.4, -0.6), ticks=ticks, grid=False)
    size = (8.0, 0.42 * len(names) + 1.7)
    return Picture(title, [marks.Panel(drawn, x, y)], size, name.replace("_", "-"))
