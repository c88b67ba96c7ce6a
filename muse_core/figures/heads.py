"""One number a head, layer by layer: a line through each network's means, and a dot for every head."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np
import plotly.graph_objects as go
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.optimize import isotonic_regression

from muse_core.errors import MuseError
from muse_core.figures.picture import Number, Picture, blank, extent, interactive, wrapped
from muse_core.figures.theme import FONT_SIZE, INK, LOSS_COLOURS, MUTED, stage_colour

READING = "line: mean over the heads · dots: single heads"
DEPTH = "share of the network's depth (1 = its last layer)"
MARKERS = {
    "o": "circle",
    "s": "square",
    "^": "triangle-up",
    "v": "triangle-down",
    "D": "diamond",
    "<": "triangle-left",
}
"""matplotlib's word for a shape -> plotly's."""

LEADER = {"arrowstyle": "-", "color": MUTED, "linewidth": 0.8, "relpos": (0, 0.5)}
OTHERS = tuple(
    LOSS_COLOURS[name]
    for name in ("anchor", "reconstruction", "adversarial", "perceptual", "topology")
)
"""Colours of networks that are neither a stage nor a teacher; the first differs most from the
stages' purple.
"""


@dataclass(frozen=True)
class Line:
    """A network ready to draw: ``x`` (layers,) with its step aside from the others', ``heads``
    (layers, heads).
    """

    name: str
    x: np.ndarray
    heads: np.ndarray
    colour: str
    marker: str

    @property
    def dash(self) -> str:
        return "dash" if self.colour == INK else "solid"

    @property
    def mean(self) -> np.ndarray:
        """Over the heads that have a number; NaN, a gap, where none has."""
        counted = np.isfinite(self.heads)
        total = np.where(counted, self.heads, 0).sum(1)
        return np.where(counted.any(1), total / np.maximum(counted.sum(1), 1), np.nan)


def by_layer(
    values: dict[str, np.ndarray],
    title: str,
    unit: str,
    reference: Mapping[str, Number] | None = None,
) -> Picture:
    """``values``: network -> (layers, heads), NaN where there is no number; ``reference``: name ->
    a level to compare with.

    Networks of equally many layers share the axis "layer"; others stand at their share of the
    depth. A name that begins with "stage 2", "after stage 2" or "MUSE, after stage 2" has the
    stage's colour, a teacher is dark and dashed."""
    arrays = _arrays(values, title)
    layers = max(map(len, arrays.values()))
    alike = all(len(heads) == layers for heads in arrays.values())
    lines = list(_lines(arrays, 1.0 if alike else 1 / layers, alike))
    levels = {
        f"{name} {level:.3g}": float(level)
        for name, level in (reference or {}).items()
        if np.isfinite(level)
    }
    given = (lines, levels, layers if alike else None, title, unit)
    return Picture(_interactive(*given), _still(*given))


def apart(places: np.ndarray, gap: float) -> np.ndarray:
    """``places`` in the same order, moved as little as can be (least squares) until ``gap`` lies
    between neighbours.
    """
    order, steps = np.argsort(places, kind="stable"), gap * np.arange(len(places))
    moved = np.empty(len(places))
    moved[order] = isotonic_regression(places[order] - steps).x + steps
    return moved


def _arrays(values: dict[str, np.ndarray], title: str) -> dict[str, np.ndarray]:
    arrays = {name: np.asarray(heads, dtype=np.float32) for name, heads in values.items()}
    if not arrays:
        raise MuseError(
            f"There is nothing to draw in {title!r}: give at least one network and its values."
        )
    for name, heads in arrays.items():
        if heads.ndim != 2 or not heads.size:
            raise MuseError(
                f"The values of {name!r} have shape {heads.shape}: give one number a head, (layers, heads)."
            )
    return arrays


def _lines(arrays: dict[str, np.ndarray], step: float, alike: bool) -> Iterator[Line]:
    """``step``: from one layer to the next on the x axis, of which all networks together take two
    thirds at most.
    """
    aside = step * min(0.14, 0.66 / len(arrays))
    for at, (name, style) in enumerate(zip(arrays, _styles(arrays), strict=True)):
        heads = arrays[name]
        x = np.arange(1, len(heads) + 1) / (1 if alike else len(heads)) + aside * (
            at - (len(arrays) - 1) / 2
        )
        shown = name if np.isfinite(heads).any() else f"{name} (not measured)"
        yield Line(shown, x.astype(np.float32), heads, *style)


def _styles(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Colour and marker of each network, no two alike among fifteen others."""
    others, teachers, taken = zip(cycle(OTHERS), cycle("s^v"), strict=False), cycle("D<"), set()
    for name in names:
        stage = re.match(r"(MUSE\W+)?(after )?stage (\d)", name, re.IGNORECASE)
        if "teacher" in name.lower():
            style = (INK, next(teachers))
        else:
            style = (stage_colour(int(stage[3])), "o") if stage else next(others)
        style = next(others) if style in taken else style
        taken.add(style)
        yield style


def _limits(lines: Sequence[Line], levels: dict[str, float]) -> tuple[float, float]:
    """The y axis: from the smallest to the largest head or level, and a little more."""
    low, high = extent(
        np.concatenate([*(line.heads.ravel() for line in lines), list(levels.values())])
    )
    margin = 0.06 * (high - low) or 0.1
    return low - margin, high + margin


def _labels(
    levels: dict[str, float], low: float, high: float, newline: str
) -> Iterator[tuple[str, float, float]]:
    """Each level's text, its height, and the height at which the text does not touch another."""
    texts = [wrapped(text, 24, newline, 60) for text in levels]
    gap = 0.065 * (high - low) * max((text.count(newline) + 1 for text in texts), default=1)
    return zip(
        texts,
        levels.values(),
        apart(np.array(list(levels.values())), gap) if texts else (),
        strict=True,
    )


def _still(
    lines: list[Line], levels: dict[str, float], layers: int | None, title: str, unit: str
) -> Figure:
    columns = max(
        1, min(len(lines), int(7.5 / (0.6 + 0.08 * max(len(line.name) for line in lines))))
    )
    still = blank(8, 4.1 + 0.2 * -(-len(lines) // columns), title)
    axes, (low, high) = still.subplots(), _limits(lines, levels)
    for line in lines:
        _drawn(axes, line)
    for text, level, height in _labels(levels, low, high, "\n"):
        axes.axhline(level, color=MUTED, linestyle=":", linewidth=1.4, zorder=1)
        axes.annotate(
            text,
            (1, level),
            (1.03, height),
            xycoords=("axes fraction", "data"),
            textcoords=("axes fraction", "data"),
            va="center",
            fontsize=9,
            color=MUTED,
            arrowprops=LEADER,
        )
    axes.set(ylim=(low, high), ylabel=wrapped(unit, 42, "\n"), xlabel="layer" if layers else DEPTH)
    if layers:
        axes.set(xlim=(0.5, layers + 0.5), xticks=range(1, layers + 1, -(-layers // 24)))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    still.legend(
        loc="outside lower center",
        ncols=columns,
        handlelength=3,
        fontsize=9,
        title=READING,
        title_fontsize=9,
        frameon=False,
    )
    return still


def _drawn(axes: Axes, line: Line) -> None:
    style = {"color": line.colour, "marker": line.marker}
    places = np.repeat(line.x, line.heads.shape[1])
    axes.plot(
        places,
        line.heads.ravel(),
        **style,
        linestyle="none",
        markersize=4,
        alpha=0.35,
        markeredgewidth=0,
    )
    axes.plot(
        line.x,
        line.mean,
        **style,
        linestyle="--" if line.dash == "dash" else "-",
        linewidth=1.8,
        markersize=6.5,
        markeredgecolor="white",
        markeredgewidth=0.8,
        label=line.name,
    )


def _interactive(
    lines: list[Line], levels: dict[str, float], layers: int | None, title: str, unit: str
) -> go.Figure:
    low, high = _limits(lines, levels)
    labels = list(_labels(levels, low, high, "<br>"))
    widest = max((len(part) for text, _, _ in labels for part in text.split("<br>")), default=0)
    figure = interactive(
        title, 470 + 22 * -(-len(lines) // 3), margin={"r": 32 + 7.5 * widest, "b": 60}
    )
    for line in lines:
        _traces(figure, line, unit)
    for text, level, height in labels:
        figure.add_hline(y=level, line={"color": MUTED, "dash": "dot", "width": 1.5})
        figure.add_annotation(
            x=1,
            xref="paper",
            y=level,
            ax=20,
            ay=height,
            ayref="y",
            text=text,
            align="left",
            xanchor="left",
            arrowhead=0,
            arrowwidth=0.8,
            arrowcolor=MUTED,
            font={"color": MUTED},
        )
    figure.update_yaxes(title={"text": wrapped(unit, 42), "standoff": 12}, range=[low, high])
    figure.update_xaxes(title="layer" if layers else DEPTH)
    if layers:
        figure.update_xaxes(range=[0.5, layers + 0.5], dtick=-(-layers // 24), tick0=1)
    reading = {"text": READING, "side": "top", "font": {"size": FONT_SIZE}}
    figure.update_layout(legend={"orientation": "h", "y": -0.2, "yanchor": "top", "title": reading})
    return figure


def _traces(figure: go.Figure, line: Line, unit: str) -> None:
    """The heads and their mean, switched on and off together by one entry of the legend."""
    layers, heads = line.heads.shape
    where = np.stack(np.indices((layers, heads)), axis=-1).reshape(-1, 2).astype(np.uint16) + 1
    shape = {"color": line.colour, "symbol": MARKERS[line.marker]}
    figure.add_scatter(
        x=np.repeat(line.x, heads),
        y=line.heads.ravel(),
        mode="markers",
        legendgroup=line.name,
        showlegend=False,
        marker={**shape, "size": 6, "opacity": 0.35},
        customdata=where,
        name=line.name,
        hovertemplate=f"{line.name}<br>layer %{{customdata[0]}}, head %{{customdata[1]}}<br>{unit} %{{y:.3f}}<extra></extra>",
    )
    figure.add_scatter(
        x=line.x,
        y=line.mean,
        mode="lines+markers",
        legendgroup=line.name,
        name=line.name,
        line={"color": line.colour, "width": 2.2, "dash": line.dash},
        marker={**shape, "size": 9},
        customdata=where[::heads, 0],
        hovertemplate=f"{line.name}<br>layer %{{customdata}}, mean of {heads} heads<br>{unit} %{{y:.3f}}<extra></extra>",
    )
