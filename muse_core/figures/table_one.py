"""Table 1 as a page shows it: each system's figures, the paper's below them, and whether the order
is the same; and pixels against understanding as one picture.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from muse_core.figures import marks, tables
from muse_core.figures.marks import Axis, Line, Mark, Words
from muse_core.figures.picture import Picture, nothing
from muse_core.figures.tables import Cell, heads, metric_head, metric_named, number_text, row_name
from muse_core.figures.theme import INK, LOSS_COLOURS, MUTED, STAGE_COLOURS
from muse_core.results.measurements import METRICS, Metric, StudyCell, StudyRecord, StudyRow

ORDERS = {
    "same": "same order as in the paper",
    "other": "the other order than in the paper",
    "open": "cannot be told apart here",
}
Three = tuple[float, float, float]
"""Value, low, high."""
OURS, THEIRS = STAGE_COLOURS[2], LOSS_COLOURS["anchor"]


def order(record: StudyRecord, row: StudyRow, metric: str) -> str:
    """Whether a row stands on the same side of the first row as the paper's figures do: a name of
    `ORDERS`, or "" where the paper or the study has no figure.
    """
    first, cell = record.rows[0], row.cells.get(metric)
    theirs, base = row.figures.get(metric), first.figures.get(metric)
    if cell is None or cell.difference is None or theirs is None or base is None:
        return ""
    if cell.direction == "same" or cell.difference_low is None:
        return "open"
    return "same" if (cell.difference > 0) == (theirs > base) else "other"


def table_one(
    record: StudyRecord, metrics: Sequence[str], papers: Sequence[str] = (), about: str = ""
) -> str:
    """HTML: a line a system. Below each of our figures stands its interval, below that of the
    paper's columns the paper's figure, coloured by whether the order towards the first row is the
    same.

    Args:
        record: The study.
        metrics: Columns.
        papers: Those of them that the paper has.
        about: What the columns are, before the study's name.
    """
    kinds = {name: metric_named(name) for name in metrics}
    shown = [name for name in kinds if any(name in row.cells for row in record.rows)]
    head = [*heads("system"), *(metric_head(kinds[name], 4.2) for name in shown)]
    lines = []
    for row in record.rows:
        cells = [_cell(record, row, name, name in papers) for name in shown]
        lines.append([row_name(row.name, row.words, bold=True), *cells])
    seeds = ", ".join(map(str, record.seeds))
    caption = f"Study {record.study}: preset {record.preset}, {record.data}, seeds {seeds}"
    caption = f"{about}. {caption}" if about else caption
    failed = [
        ("", f"Not finished: {row.name}, {why}") for row in record.rows for why in row.failures
    ]
    return tables.table(caption, head, lines, failed)


def _cell(record: StudyRecord, row: StudyRow, metric: str, paper: bool) -> Cell:
    found, kind = row.cells.get(metric), METRICS[metric]
    theirs = row.figures.get(metric) if paper else None
    below = f"paper\u00a0{number_text(theirs, kind)}" if theirs is not None else ""
    if found is None:
        return Cell("–", below)
    text = lambda value: number_text(value * kind.scale, kind)
    if found.low is not None and found.high is not None:
        half = number_text((found.high - found.low) / 2 * kind.scale, kind)
        below = f"±\u00a0{half}" + (f"\n{below}" if below else "")
    stands = order(record, row, metric)
    tip = f"by seed: {', '.join(map(text, found.by_seed))}"
    if found.difference is not None:
        away = number_text(found.difference * kind.scale, kind, "+")
        tip += f"; {away} {tables.difference_unit(kind)} to {record.rows[0].name}"
    if stands:
        tip += f"; {ORDERS[stands]}"
    coloured = {"same": "better", "other": "worse"}.get(stands, "")
    return Cell(text(found.value), below, verdict=coloured, tip=tip)


def frontier(record: StudyRecord, across: Sequence[str], up: str, title: str) -> Picture:
    """A panel a metric of ``across``: each system a point with its intervals, the first row's
    coloured, and a line through those that no other system beats in both.

    Raises:
        MuseError: A metric is unknown, or no system has both figures of any panel.
    """
    panels = [panel for metric in across if (panel := _frontier(record, metric, up))]
    # One scale of the height, said once.
    panels = [
        replace(panel, y=replace(panel.y, words=panel.y.words if at == 0 else ""))
        for at, panel in enumerate(panels)
    ]
    if not panels:
        raise nothing(title, f"system with {up!r} and one of {', '.join(across)}")
    return Picture(title, panels, (5.2 * len(panels), 4.6), "frontier", columns=len(panels))


def _frontier(record: StudyRecord, x_metric: str, y_metric: str) -> marks.Panel | None:
    kinds = metric_named(x_metric), metric_named(y_metric)
    held = {
        row.name: (row.cells[x_metric], row.cells[y_metric])
        for row in record.rows
        if x_metric in row.cells and y_metric in row.cells
    }
    if not held:
        return None
    drawn: list[Mark] = []
    ends = {
        name: [_ends(cell, kind.scale) for cell, kind in zip(pair, kinds, strict=True)]
        for name, pair in held.items()
    }
    points = np.array([[x[0], y[0]] for x, y in ends.values()])
    best = points[_undominated(points * [kind.better for kind in kinds])]
    x_line, y_line = best[np.argsort(best[:, 0])].T
    drawn.append(Line(x_line, y_line, "nothing beats these in both", MUTED, 1.5, "dot", hover=()))
    axes = [
        _axis(kind, np.array([pair[at] for pair in ends.values()])) for at, kind in enumerate(kinds)
    ]
    # The first row lies over the others.
    for name, (x, y) in reversed(ends.items()):
        drawn += _crossed(name, x, y, OURS if name == record.rows[0].name else THEIRS)
    drawn += _named(dict(zip(ends, points, strict=True)), axes)
    return marks.Panel(drawn, axes[0], axes[1])


def _named(points: dict[str, np.ndarray], axes: Sequence[Axis]) -> list[Mark]:
    """Each point's name where it covers the least, the first point's first: above or below, because
    beside the dot the interval would run through it; towards the middle if there is a choice.
    """
    low, high = np.array([axis.limits or (0.0, 1.0) for axis in axes]).T
    at = {name: (point - low) / (high - low) for name, point in points.items()}
    taken: list[np.ndarray] = []
    words: list[Mark] = []
    for name, (x, y) in at.items():
        middle = "left" if x > 0.5 else "right"
        sides = (middle, "right" if middle == "left" else "left")
        choices = [(side, y + up) for up in HEIGHTS for side in sides]
        boxes = [_box(x, height, name, side) for side, height in choices]
        crossed = [_crossings(box, taken, list(at.values())) for box in boxes]
        best = int(np.argmin(crossed))
        taken.append(boxes[best])
        side, height = choices[best]
        colour = INK if words else OURS
        up = low[1] + height * (high[1] - low[1])
        words.append(Words(points[name][0], up, name, side, colour))
    return words


HEIGHTS = (0.035, -0.045, 0.085, -0.095, 0.135)
"""Of a name above its point, as shares of the panel, the best first."""
LETTER, LINE = 0.02, 0.045
"""Width and height of what is written, as shares of the panel."""


def _box(x: float, y: float, name: str, side: str) -> np.ndarray:
    """Left, bottom, right and top of a name."""
    wide = LETTER * (len(name) + 1)
    left = x if side == "right" else x - wide
    return np.array([left, y - LINE / 2, left + wide, y + LINE / 2])


def _crossings(box: np.ndarray, taken: list[np.ndarray], dots: list[np.ndarray]) -> float:
    """How much a name covers: other names, dots, and what is outside of the panel."""
    over = [
        (np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2])).clip(min=0).prod() / LINE
        for other in taken
    ]
    hidden = sum(bool((box[:2] < dot).all() and (dot < box[2:]).all()) for dot in dots)
    outside = (-box[:2]).clip(min=0).sum() + (box[2:] - 1).clip(min=0).sum()
    return float(sum(over) + 0.5 * hidden + outside)


def _crossed(name: str, x: Three, y: Three, colour: str) -> list[Mark]:
    """A dot with an interval along each axis."""
    at = np.array([x[0]]), np.array([y[0]])
    ends = [(np.array([low]), np.array([high])) for _, low, high in (x, y)]
    style = {"colour": colour, "width": 0, "marker": "circle", "size": 9}
    hover = [
        f"{name}\n{x[0]:.4g} ({x[1]:.4g} to {x[2]:.4g})\n{y[0]:.4g} ({y[1]:.4g} to {y[2]:.4g})"
    ]
    (left, right), (bottom, top) = ends
    return [
        Line(*at, low=left, high=right, across=True, hover=(), **style),
        Line(*at, low=bottom, high=top, hover=hover, **style),
    ]


def _ends(cell: StudyCell, scale: float) -> Three:
    low = cell.value if cell.low is None else cell.low
    high = cell.value if cell.high is None else cell.high
    return cell.value * scale, low * scale, high * scale


def _undominated(points: np.ndarray) -> np.ndarray:
    """Whether no other point is better in one and as good in the other; more is better."""
    beaten = [
        any((other >= point).all() and (other > point).any() for other in points)
        for point in points
    ]
    return ~np.array(beaten)


def _axis(kind: Metric, values: np.ndarray) -> Axis:
    low, high = marks.extent(values)
    room = 0.12 * (high - low or 1.0)
    unit = f" ({kind.unit})" if kind.unit else ""
    arrow = "higher is better" if kind.better > 0 else "lower is better"
    return Axis(f"{kind.words}{unit}, {arrow}", limits=(low - room, high + room))
