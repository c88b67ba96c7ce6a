"""Numbers in rows and columns: who resembles whom, and where each loss's gradient may
go and went.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from muse_core.errors import MuseError
from muse_core.figures.marks import (
    Axis,
    Heat,
    Length,
    Number,
    Panel,
    decimals,
    extent,
    spread,
    wrapped,
)
from muse_core.figures.picture import Picture
from muse_core.figures.theme import HEAT

ANNOTATED_CELLS = 150
LABEL_WIDTH = 26

OPEN, TRUNK, CLOSED, FROZEN, LEAK = "#8cc3e8", "#cfe6f5", "#f3f5f7", "#c4cad0", "#f6b8ab"
MEASURED = {
    "open by design; the share of the task's gradient energy that arrived": OPEN,
    "closed; 0 is exactly zero": CLOSED,
    "a leak": LEAK,
}
DESIGNED = {
    "trains it": OPEN,
    "trains it through the trunk": TRUNK,
    "exactly zero": CLOSED,
    "frozen": FROZEN,
}


def similarity_matrix(
    values: np.ndarray | Sequence[Sequence[Number]],
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    title: str = "Similarity of rows and columns",
    unit: str = "cosine",
    limits: tuple[Length, Length] | None = None,
) -> Picture:
    """Row i against column j; a square matrix has its diagonal (the true pairs) outlined.

    Args:
        values: Numbers (n, m), NaN where there is none.
        row_labels: n names.
        column_labels: m names.
        title: What the matrix shows.
        unit: Of the numbers.
        limits: Ends of the colours, so that two matrices compare; None for those of the numbers.

    Raises:
        MuseError: Names and numbers do not fit.
    """
    values = np.asarray(values, dtype=np.float32)
    rows, columns = len(row_labels), len(column_labels)
    if values.shape != (rows, columns):
        raise MuseError(
            f"The similarities have shape {values.shape} but there are {rows} row and {columns} "
            "column labels: give one label a row and one a column."
        )
    digits = decimals(values)
    # Adding 0 takes the sign from what rounds to zero.
    say = lambda x: f"{round(float(x), digits) + 0:.{digits}f}" if np.isfinite(x) else "–"
    texts = [[say(x) for x in row] for row in values]
    says_something = len({text for row in texts for text in row}) > 1
    texts = texts if says_something and values.size <= ANNOTATED_CELLS else ()
    names, is_square = (row_labels, column_labels), rows == columns
    heat = Heat(
        values, *(limits or extent(values)), spread(HEAT), texts, names, unit, diagonal=is_square
    )
    is_tilted = max(map(len, column_labels), default=0) > 8
    x = Axis(ticks=_short(column_labels), tilted=is_tilted, grid=False)
    y = Axis(ticks=_short(row_labels), limits=(rows - 0.5, -0.5), grid=False)
    side = 0.55 if max(values.shape) <= 16 else max(0.16, 9 / max(values.shape))
    size = (max(6.0, side * columns + 3.6), max(3.6, side * rows + 2.6))
    return Picture(title, [Panel([heat], x, y)], size, "similarity")


def route_table(
    intended: np.ndarray,
    measured: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
) -> Picture:
    """The routing table as it was measured: which cells the design opens, how much gradient came.

    Args:
        intended: Whether the design opens a cell, (rows, columns).
        measured: Shares of each task's gradient energy in 0..1, (rows, columns).
        rows: Tasks.
        columns: Kinds of weight.
        title: What the table shows.
    """
    codes = np.where(intended, 0, np.where(measured == 0, 1, 2))
    texts = [[share_text(share) for share in row] for row in measured]
    return _cells(codes, texts, rows, columns, MEASURED, title, "routes")


def stage_routes(
    weights: Mapping[str, Number],
    opened: Mapping[str, Mapping[str, bool]],
    trunk: Collection[str] = (),
    frozen: Collection[str] = (),
) -> Picture:
    """What a stage trains: its losses with their weights, and the weights of the network that each
    reaches.

    Args:
        weights: Loss -> its weight in the stage's objective.
        opened: Loss -> group of weights -> whether its gradient arrives there.
        trunk: Groups that are reached through the trunk.
        frozen: Groups that the stage does not train.
    """
    groups = list(dict.fromkeys(group for loss in weights for group in opened[loss]))
    is_open = np.array([[opened[loss].get(group, False) for group in groups] for loss in weights])
    by_group = [3 if group in frozen else 1 if group in trunk else 0 for group in groups]
    codes = np.where(is_open | (np.array(by_group) == 3), by_group, 2)
    texts = [["●○0 "[code] for code in row] for row in codes]
    rows = [f"{loss} × {float(weight):g}" for loss, weight in weights.items()]
    title = f"What this stage trains: {(codes < 2).sum()} of {codes.size} routes are open"
    return _cells(codes, texts, rows, groups, DESIGNED, title, "stage-routes")


def share_text(share: float) -> str:
    """ "41 %", "<0.1 %", or "0" for what is exactly zero."""
    if share < 0.001:
        return "0" if share == 0 else "<0.1 %"
    return f"{100 * share:.{1 if share < 0.1 else 0}f} %"


def _cells(
    codes: np.ndarray,
    texts: Sequence[Sequence[str]],
    rows: Sequence[str],
    columns: Sequence[str],
    meaning: Mapping[str, str],
    title: str,
    name: str,
) -> Picture:
    """Coloured cells with a text in each, and what the colours mean that are there."""
    scale, last = spread(list(meaning.values())), len(meaning) - 1
    heat = Heat(codes.astype(np.uint8), 0, last, scale, texts, (rows, columns), gap=3)
    names = {float(at): wrapped(column, 13) for at, column in enumerate(columns)}
    x = Axis(ticks=names, grid=False, on_top=True)
    y = Axis(ticks=dict(enumerate(rows)), limits=(len(rows) - 0.5, -0.5), grid=False)
    present = {words: colour for at, (words, colour) in enumerate(meaning.items()) if at in codes}
    size = (1.05 * len(columns) + 1.8, 0.62 * len(rows) + 2.0 + 0.1 * len(present))
    return Picture(title, [Panel([heat], x, y)], size, name, key=present)


def _short(names: Sequence[str]) -> dict[float, str]:
    """Names in at most two lines."""
    longest = 2 * LABEL_WIDTH - 4
    return {float(at): wrapped(name, LABEL_WIDTH, longest) for at, name in enumerate(names)}
