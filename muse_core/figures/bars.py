"""A few numbers side by side, with the line they should reach."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from matplotlib.figure import Figure

from muse_core.errors import MuseError
from muse_core.figures.picture import Number, Picture, blank, interactive, wrapped
from muse_core.figures.theme import LOSS_COLOURS, STAGE_COLOURS

COLOUR, TARGET_COLOUR = STAGE_COLOURS[2], LOSS_COLOURS["anchor"]


def bars(
    values: Mapping[str, Number],
    title: str,
    unit: str = "",
    target: Number | None = None,
    target_name: str = "target",
    colours: Mapping[str, str] | None = None,
) -> Picture:
    """Horizontal bars in the given order, the first on top; a number that is missing (NaN) is said
    to be so.
    """
    if not values:
        raise MuseError(
            f"There is nothing to draw in {title!r}: give at least one name and its number."
        )
    numbers = np.array([float(value) for value in values.values()])
    colour = [(colours or {}).get(name, COLOUR) for name in values]
    texts = [f"{number:.4g}" if np.isfinite(number) else "not measured" for number in numbers]
    arguments = (
        [str(name) for name in values],
        np.nan_to_num(numbers),
        texts,
        colour,
        title,
        unit,
        target,
        target_name,
    )
    return Picture(_interactive(*arguments), _still(*arguments))


def _still(
    names: list[str],
    numbers: np.ndarray,
    texts: list[str],
    colours: list[str],
    title: str,
    unit: str,
    target: Number | None,
    target_name: str,
) -> Figure:
    still = blank(7.5, 0.42 * len(names) + 1.5, title)
    axes = still.subplots()
    axes.barh(range(len(names)), numbers, color=colours, height=0.65)
    for at, (number, text) in enumerate(zip(numbers, texts, strict=True)):
        axes.annotate(
            text,
            (number, at),
            xytext=(4 if number >= 0 else -4, 0),
            textcoords="offset points",
            ha="left" if number >= 0 else "right",
            va="center",
            fontsize=9,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.85},
            zorder=3,
        )
    if target is not None:
        axes.axvline(
            target,
            color=TARGET_COLOUR,
            linestyle="--",
            linewidth=1.4,
            label=f"{target_name} {target:.4g}",
        )
        axes.legend(
            frameon=False, loc="lower left", bbox_to_anchor=(0, 1.0), borderaxespad=0.1, fontsize=9
        )
    axes.set_yticks(range(len(names)), [wrapped(name, 28, "\n", 56) for name in names])
    axes.set(xlabel=unit, ylim=(len(names) - 0.4, -0.6))
    axes.margins(x=0.12)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return still


def _interactive(
    names: list[str],
    numbers: np.ndarray,
    texts: list[str],
    colours: list[str],
    title: str,
    unit: str,
    target: Number | None,
    target_name: str,
) -> go.Figure:
    figure = interactive(title, 34 * len(names) + 150, margin={"l": 200}, showlegend=False)
    figure.add_bar(
        x=numbers,
        y=names,
        orientation="h",
        text=texts,
        textposition="outside",
        cliponaxis=False,
        marker_color=colours,
    )
    if target is not None:
        line = {"color": TARGET_COLOUR, "dash": "dash"}
        figure.add_vline(
            x=target,
            line=line,
            annotation_text=f"{target_name} {target:.4g}",
            annotation_position="top",
        )
    figure.update_layout(xaxis_title=unit, yaxis={"autorange": "reversed", "automargin": True})
    return figure
