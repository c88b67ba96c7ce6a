"""Curves over training steps: what was measured, thin, and what to read, bold; finished or still
growing.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from muse_core.callback import Callback
from muse_core.errors import MuseError, unknown
from muse_core.figures.marks import Axis, Line, Mark, Number, Panel, log_ticks
from muse_core.figures.picture import Picture
from muse_core.figures.theme import LOSS_COLOURS, MUTED, SEQUENCE
from muse_core.results.metrics_tail import losses_of

Rows = Sequence[Mapping[str, Any]]
"""Rows of ``metrics.jsonl``: a "step" and numbers by name."""

MOST_POINTS = 1000
WIDE = (8.5, 4.4)


def loss_curves(
    rows: Rows, names: Sequence[str] = (), title: str = "Losses", log: bool = True
) -> Picture:
    """Losses over steps, each as measured (thin) and smoothed (bold).

    Args:
        rows: Rows of ``metrics.jsonl``.
        names: Columns, such as "loss/topology"; every loss that the rows have where none is named.
        title: What the curves show.
        log: Whether to ask for a logarithmic axis, which only positive losses can have.

    Raises:
        MuseError: No row has one of the columns.
    """
    series = {name: column(rows, name) for name in names or losses_of(rows)}
    if not series:
        raise MuseError("No losses to draw: name at least one column of metrics.jsonl.")
    marks: list[Mark] = []
    for position, (name, (steps, values)) in enumerate(series.items()):
        colour, words = colour_of(name, position), name.removeprefix("loss/")
        measured, read = thinned(values), thinned(smoothed(values))
        raw = {"width": 0.7, "opacity": 0.4, "group": words, "hover": ()}
        x, y = steps.astype(np.int32), values.astype(np.float32)
        marks.append(Line(x[measured], y[measured], "", colour, **raw))
        marks.append(Line(x[read], smoothed(values)[read].astype(np.float32), words, colour))
    shown = np.concatenate([values for _, values in series.values()])
    y_axis = Axis("loss")
    if log and np.nanmin(shown) > 0:
        y_axis = Axis("loss (log)", log=True, ticks=log_ticks(shown))
    panel = Panel(marks, Axis("step"), y_axis)
    return Picture(title, [panel], WIDE, "loss-curves", joint_hover=True)


def convergence(
    curves: Mapping[str, tuple[Sequence[Number], Sequence[Number]]],
    title: str,
    unit: str,
    floor: tuple[str, Number] | None = None,
) -> Picture:
    """One line a generator over training steps, both axes logarithmic.

    Args:
        curves: Generator -> steps and values.
        title: What the curves show.
        unit: What is measured.
        floor: A name, and the value to come near to.
    """
    drawn = [np.array(each, dtype=float) for each in curves.values()]
    marks: list[Mark] = [
        Line(x, y, name, colour, marker="circle")
        for name, (x, y), colour in zip(curves, drawn, SEQUENCE, strict=False)
    ]
    steps, values = np.concatenate(drawn, axis=1)
    if floor is not None:
        values = np.append(values, floor[1])
        ends, level = np.array([steps.min(), steps.max()]), np.full(2, float(floor[1]))
        marks.append(Line(ends, level, f"{floor[0]} ({floor[1]:.2g})", MUTED, 1.4, "dash"))
    x = Axis("training step (log)", log=True, ticks=log_ticks(steps))
    y = Axis(f"{unit} (log)", log=True, ticks=log_ticks(values))
    return Picture(title, [Panel(marks, x, y)], WIDE, "convergence", joint_hover=True)


def column(rows: Rows, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values (float64) of the rows that hold ``name``; raises MuseError where
    none does.
    """
    held = [(row["step"], row[name]) for row in rows if row.get(name) is not None and "step" in row]
    if not held:
        known = sorted({key for row in rows for key in row} - {"step"})
        raise unknown("metric", name, known or ["(the records are empty)"])
    steps, values = np.array(held, dtype=float).T
    return steps, values


def smoothed(values: np.ndarray, share: float = 0.03) -> np.ndarray:
    """Running exponential mean over about ``share`` of the curve, unbiased at its start; gaps (NaN)
    are passed over.
    """
    keep = 1 - 1 / max(1.0, share * len(values))
    mean, weight, out = 0.0, 0.0, np.full(len(values), np.nan)
    for index, value in enumerate(values):
        if np.isfinite(value):
            mean, weight = keep * mean + (1 - keep) * value, keep * weight + (1 - keep)
        out[index] = mean / weight if weight else np.nan
    return out


def thinned(values: np.ndarray, most: int = MOST_POINTS) -> np.ndarray:
    """At most ``most`` indices that keep both ends and the lowest and highest value of each stretch
    between.
    """
    if len(values) <= most:
        return np.arange(len(values))
    kept = {0, len(values) - 1}
    for stretch in np.array_split(np.arange(len(values)), most // 2 - 1):
        piece = values[stretch]
        kept |= {int(stretch[np.argmin(np.nan_to_num(piece, nan=np.inf))])}
        kept |= {int(stretch[np.argmax(np.nan_to_num(piece, nan=-np.inf))])}
    return np.array(sorted(kept))


def colour_of(name: str, position: int) -> str:
    """The colour this loss has in every notebook, else the next one of the theme."""
    return LOSS_COLOURS.get(name.split("/")[-1], SEQUENCE[position % len(SEQUENCE)])


DRAWING = 0.01
"""The most of a training's time that its live plot takes, once it has been drawn twice."""


class LivePlot(Callback):
    """A loss plot that grows while something trains, redrawn in place at most every ``seconds``,
    and no more often than `DRAWING` of the time allows.

    Each training gets a plot of its own.

    Args:
        names: Columns to draw; every loss that the rows have where none is named.
        title: What trains; by default what the trainer says.
        seconds: Between two drawings, at least.
    """

    def __init__(self, names: Sequence[str] = (), title: str = "", seconds: Number = 5.0) -> None:
        self.names, self.title, self.seconds = list(names), title, seconds
        self.handle: Any = None
        self.drawn_at = self.began = time.monotonic()
        self.spent = 0.0

    def on_train_begin(self, trainer: Any) -> None:
        self.handle, self.began, self.spent = None, time.monotonic(), 0.0

    def on_step(self, trainer: Any, row: dict[str, Any]) -> None:
        """Draw all rows so far, unless it was done a moment ago."""
        now = time.monotonic()
        affordable = self.spent <= DRAWING * (now - self.began)
        if len(trainer.rows) >= 2 and now - self.drawn_at >= self.seconds and affordable:
            self.redraw(trainer)

    def on_train_end(self, trainer: Any) -> None:
        self.redraw(trainer)

    def redraw(self, trainer: Any) -> None:
        """Draw the trainer's rows."""
        from IPython.display import Image, display

        from muse_core.figures import still

        began = time.monotonic()
        if (picture := self.picture(trainer)) is None:
            return
        words = f"Losses so far: {picture.title}"
        image = Image(still.png(picture.still, dpi=90), metadata={"alt": words})
        self.drawn_at = time.monotonic()
        if self.handle is None:
            # The first drawing also loads what draws, which says nothing about the next.
            self.handle = display(image, display_id=True)
        else:
            self.handle.update(image)
            self.spent += self.drawn_at - began

    def picture(self, trainer: Any) -> Picture | None:
        """The curves so far, titled with what trains and how far it is; None before any loss."""
        known = losses_of(trainer.rows)
        names = [name for name in self.names or known if name in known]
        if not names:
            return None
        title = f"{self.title or trainer.what}, step {trainer.rows[-1]['step']:,.0f}"
        return loss_curves(trainer.rows, names, title)
