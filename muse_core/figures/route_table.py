"""The routing table as it was measured: which cells the design opens, and how much gradient arrived
in each.
"""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle

from muse_core.errors import MuseError
from muse_core.figures.picture import Picture, blank, interactive, wrapped
from muse_core.figures.theme import GRID, INK, MUTED

OPEN, CLOSED, LEAK = "#cfe6f5", "#f7f8f9", "#f6b8ab"
MEANING = {
    "open by design; the share of the task's gradient energy that arrived": OPEN,
    "closed; 0 is exactly zero": CLOSED,
    "a leak": LEAK,
}


def route_table(
    intended: np.ndarray,
    measured: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
) -> Picture:
    """``intended`` bool and ``measured`` shares in 0..1, both (rows, columns).

    Raises MuseError where shapes and names do not fit.
    """
    intended, measured = np.asarray(intended, dtype=bool), np.asarray(measured, dtype=float)
    if not intended.shape == measured.shape == (len(rows), len(columns)):
        raise MuseError(
            f"The routing table has shapes {intended.shape} and {measured.shape} for {len(rows)} rows and "
            f"{len(columns)} columns: give one name a row and one a column."
        )
    colours = np.where(intended, OPEN, np.where(measured == 0, CLOSED, LEAK))
    texts = [[share_text(share) for share in row] for row in measured]
    return Picture(
        _interactive(colours, texts, rows, columns, title),
        _still(colours, texts, intended, rows, columns, title),
    )


def share_text(share: float) -> str:
    """ "41 %", "<0.1 %", or "0" for what is exactly zero."""
    if share == 0:
        return "0"
    if share < 0.001:
        return "<0.1 %"
    return f"{share:.1%}".replace("%", " %") if share < 0.1 else f"{share:.0%}".replace("%", " %")


def _still(
    colours: np.ndarray,
    texts: list[list[str]],
    intended: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
):
    still = blank(1.05 * len(columns) + 1.6, 0.62 * len(rows) + 1.9, title)
    axes = still.subplots()
    for row, column in np.ndindex(*colours.shape):
        axes.add_patch(
            Rectangle(
                (column, row), 1, 1, facecolor=colours[row, column], edgecolor="white", linewidth=3
            )
        )
        opened = intended[row, column]
        axes.text(
            column + 0.5,
            row + 0.5,
            texts[row][column],
            ha="center",
            va="center",
            fontsize=12 if opened else 10.5,
            color=INK if opened else MUTED,
            fontweight="bold" if opened else "normal",
        )
    _frame(axes, rows, columns)
    present = set(colours.ravel().tolist())
    handles = [
        Patch(facecolor=colour, edgecolor=GRID, label=words)
        for words, colour in MEANING.items()
        if colour in present
    ]
    still.legend(handles=handles, loc="outside lower left", frameon=False, fontsize=9, ncols=1)
    return still


def _frame(axes: Axes, rows: Sequence[str], columns: Sequence[str]) -> None:
    axes.set(xlim=(0, len(columns)), ylim=(len(rows), 0))
    axes.set_xticks(
        np.arange(len(columns)) + 0.5, [wrapped(name, 12, "\n") for name in columns], fontsize=9.5
    )
    axes.set_yticks(np.arange(len(rows)) + 0.5, rows, fontsize=11)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _interactive(
    colours: np.ndarray,
    texts: list[list[str]],
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
) -> go.Figure:
    """A heat map of the three meanings, with the shares written in it."""
    scale = list(MEANING.values())
    codes = np.vectorize(scale.index)(colours)
    figure = interactive(title, 80 * len(rows) + 130, margin={"t": 110, "l": 90, "b": 20})
    figure.add_heatmap(
        z=codes,
        x=[wrapped(name, 12) for name in columns],
        y=list(rows),
        text=texts,
        texttemplate="%{text}",
        zmin=0,
        zmax=2,
        colorscale=[[at / 2, colour] for at, colour in enumerate(scale)],
        showscale=False,
        xgap=3,
        ygap=3,
        hovertemplate="%{y} in %{x}: %{text}<extra></extra>",
    )
    figure.update_xaxes(side="top", ticks="", tickangle=0, tickfont_size=11)
    figure.update_yaxes(autorange="reversed", ticks="")
    return figure
