"""Who resembles whom: a matrix of similarities, its captions readable, its diagonal marked."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from muse_core.errors import MuseError
from muse_core.figures.picture import Picture, blank, extent, interactive, wrapped

ANNOTATED_CELLS = 150
LABEL_WIDTH = 26


def similarity_matrix(
    values: np.ndarray,
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    title: str = "",
    unit: str = "cosine",
) -> Picture:
    """``values`` (n, m): row i against column j. A square matrix has its diagonal (the true pairs)
    outlined.
    """
    values = np.asarray(values, dtype=np.float32)
    if values.shape != (len(row_labels), len(column_labels)):
        raise MuseError(
            f"The similarities have shape {values.shape} but there are {len(row_labels)} row and "
            f"{len(column_labels)} column labels: give one label a row and one a column."
        )
    heading = title or _finding(values)
    return Picture(
        _interactive(values, row_labels, column_labels, heading, unit),
        _still(values, row_labels, column_labels, heading, unit),
    )


def _finding(values: np.ndarray) -> str:
    """What a square matrix shows: how many rows are most similar to their own column."""
    if values.shape[0] != values.shape[1]:
        return f"Similarity of {values.shape[0]} rows and {values.shape[1]} columns"
    best = np.argmax(np.nan_to_num(values, nan=-np.inf), axis=1)
    return f"{int((best == np.arange(len(values))).sum())} of {len(values)} rows are most similar to their own column"


def _still(
    values: np.ndarray, rows: Sequence[str], columns: Sequence[str], title: str, unit: str
) -> Figure:
    side = 0.55 if max(values.shape) <= 16 else max(0.16, 9 / max(values.shape))
    still = blank(max(5.5, side * len(columns) + 3.6), max(3.5, side * len(rows) + 2.2), title)
    axes = still.subplots()
    low, high = extent(values)
    drawn = axes.imshow(values, cmap="viridis", vmin=low, vmax=high, aspect="equal")
    size = 8 if side >= 0.3 else 6
    axes.set_xticks(
        range(len(columns)),
        [_short(text) for text in columns],
        rotation=45,
        ha="right",
        rotation_mode="anchor",
    )
    axes.set_yticks(range(len(rows)), [_short(text) for text in rows])
    axes.tick_params(length=0, labelsize=size)
    axes.grid(False)
    if values.size <= ANNOTATED_CELLS:
        _annotate(axes, values, (low + high) / 2)
    for at in range(len(rows) if len(rows) == len(columns) else 0):
        axes.add_patch(
            Rectangle((at - 0.5, at - 0.5), 1, 1, fill=False, edgecolor="#ff2d55", linewidth=1.6)
        )
    still.colorbar(drawn, ax=axes, label=unit, shrink=0.8)
    return still


def _annotate(axes: Axes, values: np.ndarray, middle: float) -> None:
    """Each number in its cell, dark on light and light on dark."""
    for row, column in np.ndindex(*values.shape):
        value = values[row, column]
        text, colour = (
            (f"{value:.2f}", "black" if value > middle else "white")
            if np.isfinite(value)
            else ("–", "grey")
        )
        axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)


def _interactive(
    values: np.ndarray, rows: Sequence[str], columns: Sequence[str], title: str, unit: str
) -> go.Figure:
    """Ticks are short; the hover shows whole captions, which travel once a row and once a column."""
    figure = interactive(
        title, max(420, min(900, 26 * len(rows) + 240)), margin={"l": 190, "b": 150}
    )
    down, across = _numbered(rows), _numbered(columns)
    hover = "%{y}<br>%{x}<br>" + unit + " %{z:.3f}<extra></extra>"
    bar = {"title": {"text": unit}}
    figure.add_heatmap(
        z=values, x=across, y=down, colorscale="Viridis", colorbar=bar, hovertemplate=hover
    )
    if values.size <= ANNOTATED_CELLS:
        figure.update_traces(texttemplate="%{z:.2f}", textfont={"size": 10})
    figure.update_xaxes(
        tickvals=across, ticktext=[_short(text, "<br>") for text in columns], tickangle=-45
    )
    figure.update_yaxes(
        tickvals=down, ticktext=[_short(text, "<br>") for text in rows], autorange="reversed"
    )
    if len(rows) == len(columns):
        marker = {"symbol": "square-open", "color": "#ff2d55", "size": 26, "line": {"width": 2}}
        figure.add_scatter(
            x=across, y=down, mode="markers", marker=marker, hoverinfo="skip", showlegend=False
        )
    return figure


def _numbered(captions: Sequence[str]) -> list[str]:
    """Captions made unique by their number, so that two equal ones keep their own line."""
    return [f"{position}: {wrapped(text, 60)}" for position, text in enumerate(captions, 1)]


def _short(text: str, newline: str = "\n") -> str:
    """A caption in at most two lines."""
    return wrapped(text, LABEL_WIDTH, newline, longest=2 * LABEL_WIDTH - 4)
