"""Generators compared: distance to real images along training, and how often prompts are followed."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from muse_core.errors import MuseError
from muse_core.figures.picture import Number, Picture, blank, interactive
from muse_core.figures.theme import MUTED, SEQUENCE

Curve = tuple[Sequence[Number], Sequence[Number]]
"""Steps and values."""
WithInterval = tuple[Number, Number, Number]
"""Value, low, high."""
WIDTH = 0.8


def convergence(
    curves: Mapping[str, Curve], title: str, unit: str, floor: tuple[str, Number] | None = None
) -> Picture:
    """One line a generator over training steps, both axes logarithmic; ``floor``: a name and the
    value to come near to.
    """
    if not curves or any(
        len(steps) != len(values) or not len(steps) for steps, values in curves.values()
    ):
        raise MuseError(f"{title!r} needs curves with as many steps as values: give at least one.")
    still, figure = blank(8, 4, title), interactive(title, 420, hovermode="x unified")
    axes = still.subplots()
    for (name, (steps, values)), colour in zip(curves.items(), SEQUENCE, strict=False):
        axes.plot(steps, values, "o-", color=colour, label=name, linewidth=2)
        figure.add_scatter(
            x=list(steps), y=list(values), name=name, mode="lines+markers", line_color=colour
        )
    if floor is not None:
        axes.axhline(
            floor[1],
            color=MUTED,
            linestyle="--",
            linewidth=1.2,
            label=f"{floor[0]} ({floor[1]:.2g})",
        )
        ends = [
            min(min(steps) for steps, _ in curves.values()),
            max(max(steps) for steps, _ in curves.values()),
        ]
        line = {"color": MUTED, "dash": "dash"}
        figure.add_scatter(x=ends, y=[floor[1]] * 2, name=floor[0], mode="lines", line=line)
    axes.set(xlabel="training step (log)", ylabel=f"{unit} (log)", xscale="log", yscale="log")
    axes.grid(alpha=0.25, which="both")
    axes.legend(frameon=False)
    figure.update_layout(
        xaxis={"title": "training step (log)", "type": "log"},
        yaxis={"title": f"{unit} (log)", "type": "log"},
    )
    return Picture(figure, still)


def following_bars(
    values: Mapping[str, Mapping[str, WithInterval]],
    ceiling: Mapping[str, Number],
    chance: Mapping[str, Number],
    title: str,
) -> Picture:
    """Categories side by side, one bar a generator with its interval; lines for the judge on real
    images, and for chance.
    """
    if not values:
        raise MuseError(f"There is nothing to draw in {title!r}: give at least one generator.")
    categories = list(next(iter(values.values())))
    still, figure = blank(8.5, 4, title), interactive(title, 430, barmode="group")
    axes, width = still.subplots(), WIDTH / len(values)
    for position, ((name, held), colour) in enumerate(zip(values.items(), SEQUENCE, strict=False)):
        middle, low, high = (
            np.array([held[category][k] for category in categories]) * 100 for k in range(3)
        )
        errors = np.array([middle - low, high - middle]).clip(min=0)
        at = np.arange(len(categories)) + (position - (len(values) - 1) / 2) * width
        axes.bar(
            at,
            middle,
            width * 0.92,
            color=colour,
            label=name,
            yerr=errors,
            error_kw={"elinewidth": 1, "ecolor": MUTED},
        )
        bars = {
            "type": "data",
            "symmetric": False,
            "array": errors[1],
            "arrayminus": errors[0],
            "color": MUTED,
        }
        figure.add_bar(x=categories, y=middle, name=name, marker_color=colour, error_y=bars)
    for marks, words, style in (
        (ceiling, "the judge on real scenes", "--"),
        (chance, "chance", ":"),
    ):
        _marks(axes, figure, categories, marks, words, style)
    axes.set_xticks(range(len(categories)), categories)
    axes.set(ylabel="images that follow (%)", ylim=(0, 118))
    axes.legend(frameon=False, ncols=3, fontsize=8, loc="upper center")
    figure.update_layout(yaxis={"title": "images that follow (%)", "range": [0, 105]})
    return Picture(figure, still)


def _marks(
    axes,
    figure: go.Figure,
    categories: list[str],
    marks: Mapping[str, Number],
    words: str,
    style: str,
) -> None:
    heights = [100 * float(marks.get(category, np.nan)) for category in categories]
    for at, height in enumerate(heights):
        axes.hlines(
            height,
            at - WIDTH / 2,
            at + WIDTH / 2,
            colors="black",
            linestyles=style,
            label=words if at == 0 else None,
        )
    symbol = {
        "symbol": "line-ew-open",
        "size": 44,
        "color": "black",
        "opacity": 1 if style == "--" else 0.5,
    }
    figure.add_scatter(x=categories, y=heights, mode="markers", name=words, marker=symbol)
