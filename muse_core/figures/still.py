"""The still face: the same marks as matplotlib draws them, for readers without JavaScript."""

import io
import re
from dataclasses import replace
from functools import singledispatch
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from muse_core.figures import marks
from muse_core.figures.theme import (
    GRID,
    HEAT,
    INK,
    MARK,
    MUTED,
    PAPER,
    drawable,
    matplotlib_settings,
)

DPI = 160
SMALL, SMALL_DPI = (4.0, 2.3), 120
"""Inches and dots an inch of a chart that stands for its notebook."""
LUMINANCE = (0.3, 0.59, 0.11)
DASHES = {"solid": "-", "dash": "--", "dot": ":"}
MARKERS = {"": "", "circle": "o", "circle-open": "o", "square": "s", "diamond": "D", "x": "x"}
MARKERS |= {"triangle-up": "^", "triangle-down": "v", "triangle-left": "<", "line-ns-open": "|"}
"""plotly's word for a shape -> matplotlib's."""


def drawn(picture: marks.Drawing) -> Figure:
    """A new matplotlib figure that no global state knows of, so it cannot leak."""
    settings: Any = matplotlib_settings()
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=picture.size, layout="constrained")
        title = plain(marks.wrapped(picture.title, max(34, int(picture.size[0] * 11.5))))
        figure.suptitle(title, fontsize=12, x=0.01, ha="left")
        columns = min(picture.columns, len(picture.panels))
        rows = -(-len(picture.panels) // columns)
        shared = columns > 1 and not picture.is_image
        every = figure.subplots(rows, columns, squeeze=False, sharey=shared)
        for axes in every.ravel()[len(picture.panels) :]:
            axes.axis("off")
        for axes, panel in zip(every.ravel(), picture.panels, strict=False):
            place = "center" if picture.is_image else "left"
            axes.set_title(plain(panel.title), loc=place, pad=18 if panel.raised else 5)
            for mark in panel.marks:
                add(mark, axes)
            (_label if picture.is_image else _dress)(axes, panel)
        if picture.bar:
            _bar_below(figure, every, picture.bar)
        _legend(figure, picture)
    _say_boxes({letter for text in figure.findobj(Text) for letter in text.get_text()})
    return figure


def _say_boxes(letters: set[str]) -> None:
    """Once a process: which letters no font of this machine has."""
    boxes = sorted(each for each in letters if each.isprintable() and ord(each) not in drawable())
    if boxes and not _SAID:
        _SAID.append("boxes")
        print(
            f"No font on this machine has {' '.join(boxes[:8])}{' ...' * (len(boxes) > 8)}: still "
            "pictures show boxes instead. Install one that has, Noto Sans CJK for example."
        )


_SAID: list[str] = []


def png(figure: Figure, dpi: int = DPI) -> bytes:
    """The figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", facecolor=PAPER)
    return buffer.getvalue()


def thumbnail(picture: marks.Drawing) -> bytes:
    """The chart's first panel, drawn anew so that its words can be read where it is small, as WebP:
    without its title and without the panel's.
    """
    panel = picture.panels[0]
    first = replace(panel, title="", x=_brief(panel.x), y=_brief(panel.y))
    small = replace(picture, title="", panels=[first], columns=1, size=SMALL)
    buffer = io.BytesIO()
    figure = drawn(small)
    figure.savefig(buffer, format="webp", dpi=SMALL_DPI, facecolor=PAPER)
    return buffer.getvalue()


def _brief(axis: marks.Axis) -> marks.Axis:
    return replace(axis, words=re.split(r"[(:;,·]", axis.words)[0].strip())


def plain(text: object) -> str:
    """A text as matplotlib shows it letter by letter: between dollars it would look for formulas,
    and fail on most captions.
    """
    return str(text).replace("$", r"\$")


@singledispatch
def add(mark: Any, axes: Axes) -> None:
    """Draw one mark into these axes."""
    raise TypeError(f"matplotlib draws no {type(mark).__name__}")


@add.register
def _(mark: marks.Line, axes: Axes) -> None:
    label = plain(mark.name) or None
    if mark.filled:
        points = np.column_stack([mark.x, mark.y])
        gaps = np.flatnonzero(np.isnan(points).any(1))
        parts = [part[np.isfinite(part).all(1)] for part in np.split(points, gaps)]
        style = {"facecolor": mark.colour, "alpha": mark.opacity, "linewidth": 0}
        axes.add_collection(PolyCollection(parts, label=label, **style))
        axes.autoscale_view()
        return
    style: dict[str, Any] = {"color": mark.colour, "label": label, "alpha": mark.opacity}
    style |= {"linestyle": DASHES[mark.dash] if mark.width else "none"}
    style |= {"linewidth": mark.width, "marker": MARKERS[mark.marker]}
    style["markersize"] = mark.size * 0.75
    if mark.marker == "circle-open":
        style["markerfacecolor"] = "none"
    if mark.ends is None:
        axes.plot(mark.x, mark.y, **style)
        return
    style |= {"xerr" if mark.across else "yerr": mark.ends, "elinewidth": 1.3, "capsize": 2.5}
    axes.errorbar(mark.x, mark.y, **style)


@add.register
def _(mark: marks.Bars, axes: Axes) -> None:
    style: dict[str, Any] = {"color": mark.colour, "label": plain(mark.name) or None}
    style["xerr" if mark.across else "yerr"] = mark.ends
    style["error_kw"] = {"ecolor": MUTED, "capsize": 2.5}
    (axes.barh if mark.across else axes.bar)(mark.at, mark.lengths, mark.width, **style)
    if mark.across:
        axes.axvline(0, color=INK, linewidth=0.8)
    for at, length, text in zip(mark.at, mark.lengths, mark.texts, strict=False):
        add(marks.Words(float(length), float(at), text, "right" if length >= 0 else "left"), axes)


@add.register
def _(mark: marks.Heat, axes: Axes) -> None:
    colours = LinearSegmentedColormap.from_list("heat", list(mark.scale))
    rows, columns = (np.arange(count) for count in mark.z.shape)
    style: dict[str, Any] = {"vmin": mark.low, "vmax": mark.high}
    style |= {"edgecolors": PAPER, "linewidth": mark.gap}
    cells = axes.pcolormesh(columns, rows, mark.z, cmap=colours, shading="nearest", **style)
    for row, texts in enumerate(mark.texts):
        for column, text in enumerate(texts):
            colour: Any = colours(cells.norm(mark.z[row][column]))
            shade = INK if np.dot(to_rgb(colour), LUMINANCE) > 0.5 else PAPER
            where: dict[str, Any] = {"ha": "center", "va": "center", "color": shade}
            axes.text(column, row, plain(text), fontsize=8, **where)
    for at in range(len(mark.z) if mark.diagonal else 0):
        box = Rectangle((at - 0.5, at - 0.5), 1, 1, fill=False, edgecolor=MARK, linewidth=1.6)
        axes.add_patch(box)
    if mark.unit:
        bar = axes.figure.colorbar(cells, ax=axes, label=plain(mark.unit), shrink=0.8)
        if mark.ends:
            bar.set_ticks([mark.low, mark.high], labels=list(mark.ends))


@add.register
def _(mark: marks.Rule, axes: Axes) -> None:
    draw = axes.axhline if mark.across else axes.axvline
    draw(mark.at, color=mark.colour, linestyle=DASHES[mark.dash], linewidth=1.3, zorder=1)
    place, ends = ((1, mark.at), ("axes fraction", "data")), ("left", "center")
    if not mark.across:
        place, ends = ((mark.at, 1), ("data", "axes fraction")), ("center", "bottom")
    style = {"color": mark.colour, "fontsize": 9, "textcoords": "offset points"}
    where = {"xytext": (5, 0) if mark.across else (0, 3), "ha": ends[0], "va": ends[1]}
    axes.annotate(plain(mark.text), place[0], xycoords=place[1], **where, **style)


@add.register
def _(mark: marks.Words, axes: Axes) -> None:
    aside, side = (6, "left") if mark.side == "right" else (-6, "right")
    box = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.8, "alpha": 0.85}
    style: dict[str, Any] = {"ha": side, "va": "center", "fontsize": 9, "color": mark.colour}
    style |= {"xytext": (aside, 0), "textcoords": "offset points", "bbox": box, "zorder": 3}
    axes.annotate(plain(mark.text), (mark.x, mark.y), **style)


@add.register
def _(mark: marks.Tile, axes: Axes) -> None:
    axes.imshow(mark.image)
    for x, y in mark.rings:
        axes.plot(x, y, "o", markersize=mark.ring_size, markerfacecolor="none", color=MARK)
    if mark.outline is not None:
        axes.contour(mark.outline.astype(float), levels=[0.5], colors=MARK, linewidths=0.9)


def _label(axes: Axes, panel: marks.Panel) -> None:
    """An image's caption below it, its row's name at the left."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_xlabel(plain(panel.x.words), fontsize=8)
    axes.set_ylabel(plain(panel.y.words), fontsize=9, rotation=0, ha="right", va="center")


def _dress(axes: Axes, panel: marks.Panel) -> None:
    """Axes with their words, ticks and limits."""
    for axis, place, given in ((axes.xaxis, "x", panel.x), (axes.yaxis, "y", panel.y)):
        if given.log:
            axes.set(**{f"{place}scale": "log"})
            axis.set_minor_locator(NullLocator())
            axis.set_minor_formatter(NullFormatter())
        if given.ticks is not None:
            axis.set_major_locator(FixedLocator(list(given.ticks)))
            axis.set_ticklabels([plain(text) for text in given.ticks.values()])
        if given.limits:
            axes.set(**{f"{place}lim": given.limits})
        axis.grid(given.grid)
        axis.set_tick_params(length=3.5 if given.grid else 0)
        axis.set_label_text(plain(given.words))
    if panel.x.tilted:
        axes.tick_params(axis="x", labelrotation=45)
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    if panel.x.on_top:
        axes.xaxis.tick_top()
    if panel.square:
        axes.set_aspect("equal")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines["left"].set_visible(panel.y.grid)
    axes.spines["bottom"].set_visible(panel.x.grid)


def _bar_below(figure: Figure, axes: np.ndarray, words: str) -> None:
    """A colour bar below images of which each has a scale of its own."""
    colours = LinearSegmentedColormap.from_list("heat", marks.spread(HEAT))
    where: dict[str, Any] = dict(
        location="bottom", shrink=0.5, aspect=30, pad=0.15 / figure.get_figheight()
    )
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), colours), ax=axes, **where)
    bar.set_ticks([0, 1], labels=["0", "largest"], fontsize=8)
    bar.set_label(plain(words), fontsize=8)


def _legend(figure: Figure, picture: marks.Drawing) -> None:
    """Every name once, below the axes, in as many columns as fit."""
    named: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    for words, colour in picture.key.items():
        named[plain(words)] = Patch(facecolor=colour, edgecolor=GRID)
    if named:
        inches = [0.75 + 0.072 * len(name) for name in named]
        fits = sum(inches) < picture.size[0]
        columns = len(named) if fits else max(1, int(picture.size[0] / max(inches)))
        where = {"loc": "outside lower center", "ncols": columns}
        figure.legend(list(named.values()), list(named), **where)
