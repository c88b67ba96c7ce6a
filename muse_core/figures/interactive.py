"""The interactive face: a `Picture`'s marks as plotly traces, and their JSON as small
as it can be.
"""

import json
import re
from functools import singledispatch
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from muse_core.figures import marks
from muse_core.figures.theme import GRID, INK, MARK, PAPER, plotly_template

LINE_PIXELS = 20
"""Height of a line of text."""

_TAG = re.compile(r"<(?!/?(?:br|b|i|sub|sup|extra)>)", re.IGNORECASE)


def drawn(picture: marks.Drawing) -> go.Figure:
    """A new plotly figure of the picture."""
    columns = min(picture.columns, len(picture.panels))
    titles = [_lines(panel.title) for panel in picture.panels]
    grid = {"rows": -(-len(titles) // columns), "cols": columns, "horizontal_spacing": 0.03}
    figure = make_subplots(subplot_titles=titles, shared_yaxes=columns > 1, **grid)
    figure.update_annotations(yshift=18 if any(panel.raised for panel in picture.panels) else 0)
    for at, panel in enumerate(picture.panels):
        place: dict[str, Any] = {"row": at // columns + 1, "col": at % columns + 1}
        for mark in panel.marks:
            add(mark, figure, place)
        square = {"constrain": "domain"} if panel.square else {}
        figure.update_xaxes(**_axis(panel.x), **square, **place)
        square |= {"scaleanchor": "x"} if panel.square else {}
        figure.update_yaxes(**_axis(panel.y), **square, **place)
    for words, colour in picture.key.items():
        marker = {"color": colour, "symbol": "square", "size": 12, "line": {"color": GRID}}
        shown = {"mode": "markers", "name": _lines(words), "showlegend": True}
        figure.add_scatter(x=[None], y=[None], marker=marker, **shown)
    _frame(figure, picture)
    return figure


def plain_json(figure: go.Figure, name: str) -> dict[str, Any]:
    """The figure as plain JSON, with our small template in place of plotly's."""
    spec = inert(json.loads(figure.to_json(validate=False) or "{}"))
    spec["layout"]["template"] = plotly_template()
    saved = {"toImageButtonOptions": {"filename": name}}
    return spec | {"config": {"displaylogo": False, "responsive": True, **saved}}


def inert(value: Any) -> Any:
    """The same JSON with every tag in its texts made harmless but for those that our own figures
    use.

    Plotly reads a little HTML in titles, names, labels and hovers, links and styles included;
    captions and class names reach all of them."""
    if isinstance(value, str):
        return _TAG.sub("&lt;", value)
    if isinstance(value, dict):
        return {name: inert(each) for name, each in value.items()}
    return [inert(each) for each in value] if isinstance(value, list) else value


@singledispatch
def add(mark: Any, figure: go.Figure, place: dict[str, Any]) -> None:
    """Draw one mark into the panel at ``place``."""
    raise TypeError(f"plotly draws no {type(mark).__name__}")


@add.register
def _(mark: marks.Line, figure: go.Figure, place: dict[str, Any]) -> None:
    modes = ["lines"] * bool(mark.width or mark.filled) + ["markers"] * bool(mark.marker)
    style: dict[str, Any] = {"mode": "+".join(modes), "opacity": mark.opacity}
    style["line"] = {"color": mark.colour, "width": mark.width, "dash": mark.dash}
    style["marker"] = {"color": mark.colour, "symbol": mark.marker or "circle", "size": mark.size}
    style["error_x" if mark.across else "error_y"] = _error(mark.ends)
    if mark.filled:
        style |= {"fill": "toself", "fillcolor": mark.colour}
    if mark.hover is not None:
        style["hoverinfo"] = "text" if mark.hover else "skip"
        style["hovertext"] = _all_lines(mark.hover)
    named = _named(mark.name) | {"legendgroup": mark.group or mark.name}
    figure.add_scatter(x=mark.x, y=mark.y, **style, **named, **place)


@add.register
def _(mark: marks.Bars, figure: go.Figure, place: dict[str, Any]) -> None:
    at, length = ("y", "x") if mark.across else ("x", "y")
    style: dict[str, Any] = {at: mark.at, length: mark.lengths, "width": mark.width}
    style |= {"orientation": "h" if mark.across else "v", f"error_{length}": _error(mark.ends)}
    if mark.texts:
        style |= {"text": list(mark.texts), "textposition": "outside", "cliponaxis": False}
    figure.add_bar(marker_color=mark.colour, **style, **_named(mark.name), **place)


@add.register
def _(mark: marks.Heat, figure: go.Figure, place: dict[str, Any]) -> None:
    bar: dict[str, Any] = {"title": {"text": _lines(mark.unit), "side": "right"}}
    if mark.ends:
        bar |= {"tickvals": [mark.low, mark.high], "ticktext": list(mark.ends)}
    value = f"%{{z:.4~g}} {_lines(mark.unit)}" if mark.unit else "%{text}"
    style: dict[str, Any] = {"zmin": mark.low, "zmax": mark.high}
    style |= {"xgap": mark.gap, "ygap": mark.gap, "showscale": bool(mark.unit)}
    if mark.names:
        style["y"], style["x"] = map(_unique, mark.names)
        value = f"%{{y}}<br>%{{x}}<br>{value}"
    if mark.texts:
        style |= {"text": [_all_lines(row) for row in mark.texts], "texttemplate": "%{text}"}
    style |= {"colorscale": list(mark.scale), "hovertemplate": f"{value}<extra></extra>"}
    figure.add_heatmap(z=mark.z, colorbar=bar, **style, **place)
    for at in range(len(mark.z) if mark.diagonal else 0):
        ends = {"x0": at - 0.5, "x1": at + 0.5, "y0": at - 0.5, "y1": at + 0.5}
        figure.add_shape(type="rect", line={"color": MARK, "width": 2}, **ends, **place)


@add.register
def _(mark: marks.Rule, figure: go.Figure, place: dict[str, Any]) -> None:
    line = {"color": mark.colour, "width": 1.4, "dash": mark.dash}
    always = {"line": line, "exclude_empty_subplots": False, **place}
    words: dict[str, Any] = {"text": _lines(mark.text), "font": {"color": mark.colour}}
    words |= {"position": "top right" if mark.across else "top"}
    words = {f"annotation_{name}": each for name, each in words.items() if mark.text}
    if mark.across:
        figure.add_hline(y=mark.at, layer="below", **words, **always)
    else:
        figure.add_vline(x=mark.at, **words, **always)


@add.register
def _(mark: marks.Words, figure: go.Figure, place: dict[str, Any]) -> None:
    side = {"xanchor": "left", "xshift": 7} if mark.side == "right" else {"xanchor": "right"}
    look = {"font": {"color": mark.colour}, "bgcolor": "rgba(255,255,255,.85)", "borderpad": 0}
    where = {"x": mark.x, "y": mark.y, "text": _lines(mark.text), "showarrow": False}
    figure.add_annotation(**where, **{"xshift": -7, **side}, **look, **place)


def _error(ends: np.ndarray | None) -> dict[str, Any] | None:
    if ends is None:
        return None
    look = {"type": "data", "symmetric": False, "width": 4, "thickness": 1.5}
    return look | {"arrayminus": ends[0], "array": ends[1]}


def _axis(axis: marks.Axis) -> dict[str, Any]:
    layout: dict[str, Any] = {"title_text": _lines(axis.words), "showgrid": axis.grid}
    if axis.log:
        layout["type"] = "log"
    if axis.limits:
        layout["range"] = list(axis.limits)
    if axis.ticks is not None:
        layout |= {"tickvals": list(axis.ticks), "ticktext": _all_lines(axis.ticks.values())}
    if not axis.grid:
        layout["tickcolor"] = PAPER
    if axis.tilted or axis.on_top:
        layout["tickangle"] = -45 if axis.tilted else 0
    return layout | ({"side": "top"} if axis.on_top else {})


def _frame(figure: go.Figure, picture: marks.Drawing) -> None:
    """Title, height, margins, and below the axes a legend where each name stands once."""
    traces: Any = figure.data
    entries: set[str] = set()
    for trace in traces:
        trace.showlegend = bool(trace.showlegend) and trace.name not in entries
        entries |= {trace.name} if trace.showlegend else set()
    above = below = beside = 0
    for panel in picture.panels:
        ticks = [line for text in (panel.x.ticks or {}).values() for line in text.split("\n")]
        lines = max((text.count("\n") + 1 for text in (panel.x.ticks or {}).values()), default=0)
        above = max(above, bool(panel.title) + panel.raised, panel.x.on_top * (lines + 1))
        tilted = 4 * max(map(len, ticks), default=0) if panel.x.tilted else 0
        below = max(below, tilted + 26 + 24 * bool(panel.x.words) + 16 * panel.x.words.count("\n"))
        texts = [line for rule in panel.rules if rule.across for line in rule.text.split("\n")]
        beside = max([beside, *map(len, texts)])
    title = _lines(marks.wrapped(picture.title, 100))
    top = 26 + LINE_PIXELS * (title.count("<br>") + 1 + above)
    legend = 24 * -(-sum(len(name) + 8 for name in entries) // 110)
    height = round(100 * picture.size[1]) + 10
    inner = max(80, height - top - below - legend - 14)
    layout: dict[str, Any] = {"template": plotly_template(), "height": height, "barmode": "overlay"}
    layout["title"] = {"text": title, "y": 1, "yanchor": "top", "pad": {"t": 12, "l": 12}}
    layout["margin"] = {"t": top, "b": below + legend + 14, "l": 60, "r": 24 + 8 * beside}
    layout["legend"] = {"orientation": "h", "x": 0, "y": -(below + 8) / inner, "yanchor": "top"}
    layout["hovermode"] = "x unified" if picture.joint_hover else "closest"
    figure.update_layout(showlegend=bool(entries), **layout)
    figure.update_annotations(font_size=12)
    figure.for_each_annotation(lambda note: note.update(font_color=note.font.color or INK))


def _named(name: str) -> dict[str, Any]:
    return {"name": _lines(name), "showlegend": bool(name)}


def _lines(text: object) -> str:
    return str(text).replace("\n", "<br>")


def _all_lines(texts: Any) -> list[str]:
    return [_lines(text) for text in texts]


def _unique(names: Any) -> list[str]:
    """Names made unique by their number, so that two equal ones keep their own line."""
    names = [_lines(marks.wrapped(name, 60)) for name in names]
    is_unique = len(set(names)) == len(names)
    return names if is_unique else [f"{at}: {name}" for at, name in enumerate(names, 1)]
