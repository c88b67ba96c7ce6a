"""The results of an evaluation: tables as HTML that suit light and dark pages, and one metric's
values with intervals.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape

import plotly.graph_objects as go
from matplotlib.figure import Figure

from muse_core.errors import MuseError
from muse_core.figures.bars import COLOUR, TARGET_COLOUR
from muse_core.figures.picture import Picture, blank, interactive, wrapped
from muse_core.figures.tables import (
    NUMBER,
    QUIET,
    VERDICT_COLOURS,
    WORDS,
    heading,
    metric_named,
    number_text,
    table,
)
from muse_core.results.measurements import METRICS, Comparison, Measurement, Metric, Row

CHANCE, REAL_IMAGES = "chance", "real images"
"""The row of guesses, also a line in a plot, and the row of the data itself."""

REFERENCES = (CHANCE, REAL_IMAGES)
"""Rows that nothing was trained for: never the best of a table."""

LETTERS = "abcdefghijklmnopqrstuvwxyz"
Reasons = Mapping[str, str]
"""Why a figure is missing -> its footnote letter."""


def results_table(rows: Sequence[Row], metrics: Sequence[str], caption: str) -> str:
    """HTML: one line a row, one column a metric that any row has, the best trained subject of each
    column bold.
    """
    if not rows:
        raise MuseError(f"There is nothing to show in {caption!r}: give at least one row.")
    shown = _shown(rows, metrics)
    best = {name: _best(rows, name) for name in shown}
    reasons = _reasons(rows, shown)
    head = "".join(heading(metric_named(name)) for name in shown)
    body = "".join(
        f"<tr>{_row_name(row.name)}{''.join(_cell(row, name, best[name], reasons) for name in shown)}</tr>"
        for row in rows
    )
    return table(caption, f'<th scope="col" style="{WORDS}"></th>{head}', body, _footnotes(reasons))


def comparison_table(comparisons: Sequence[Comparison]) -> str:
    """HTML: one line a comparison, with the verdict on ``a`` in words; an empty text where nothing
    was compared.
    """
    if not comparisons:
        return ""
    head = "".join(f'<th scope="col" style="{WORDS}">{name}</th>' for name in ("metric", "a", "b"))
    head += (
        f'<th scope="col" style="{NUMBER}">a − b<br><span style="{QUIET}">95 % interval</span></th>'
    )
    head += f'<th scope="col" style="{WORDS}">a is</th>'
    body = "".join(_comparison(one, metric_named(one.metric)) for one in comparisons)
    return table("Differences on the same images", head, body)


def features_table(rows: Sequence[Row], metric: str) -> str:
    """HTML: one line a row, one column a feature that was probed for ``metric``; an empty text
    where none was.
    """
    shown = {
        row.name: found.details.get("by_feature", {})
        for row in rows
        if (found := row.measurements.get(metric))
    }
    features = list(
        dict.fromkeys(feature for by_feature in shown.values() for feature in by_feature)
    )
    if not features:
        return ""
    kind = metric_named(metric)
    head = "".join(
        f'<th scope="col" style="{NUMBER}">{escape(feature)}</th>' for feature in features
    )
    body = "".join(
        f"<tr>{_row_name(name)}{''.join(_feature(by_feature.get(feature), kind) for feature in features)}</tr>"
        for name, by_feature in shown.items()
        if by_feature
    )
    return table(
        f"{kind.words} by feature, {kind.unit}",
        f'<th scope="col" style="{WORDS}"></th>{head}',
        body,
    )


def _feature(value: float | None, metric: Metric) -> str:
    return f'<td style="{NUMBER}">{"" if value is None else number_text(value * metric.scale, metric)}</td>'


def intervals(rows: Sequence[Row], metric: str, title: str) -> Picture:
    """A dot a row with its 95 % interval, the first on top; "chance" is a dashed line, rows without
    a value are left out.

    Raises MuseError for an unknown metric and where no row has a value.
    """
    kind = metric_named(metric)
    held = [
        (row.name, _scaled(row.measurements[metric], kind))
        for row in rows
        if _value(row, metric) is not None
    ]
    dots = [(name, numbers) for name, numbers in held if name != CHANCE]
    chance = next((numbers[0] for name, numbers in held if name == CHANCE), None)
    if not dots:
        raise MuseError(
            f"There is nothing to draw in {title!r}: no row has a value for {metric!r}."
        )
    names, numbers = [name for name, _ in dots], [three for _, three in dots]
    return Picture(
        _interactive(names, numbers, chance, kind, title),
        _still(names, numbers, chance, kind, title),
    )


def _shown(rows: Sequence[Row], metrics: Sequence[str]) -> list[str]:
    """The metrics that any row has; a name that is no metric is refused even where no row has it."""
    return [
        name
        for name in metrics
        if metric_named(name) and any(_value(row, name) is not None for row in rows)
    ]


def _value(row: Row, metric: str) -> float | None:
    """The row's figure, None where it has none."""
    found = row.measurements.get(metric)
    return found.value if found and found.value is not None and math.isfinite(found.value) else None


def _scaled(found: Measurement, metric: Metric) -> tuple[float, float, float]:
    """Value, low and high in the metric's unit; without an interval, both ends are the value."""
    low, high = (found.value if end is None else end for end in (found.low, found.high))
    return found.value * metric.scale, low * metric.scale, high * metric.scale


def _best(rows: Sequence[Row], metric: str) -> str | None:
    """The best figure of the trained subjects as a cell shows it; equal looking cells are equally
    bold.
    """
    kind = METRICS[metric]
    values = [_value(row, metric) for row in rows if row.name not in REFERENCES]
    values = [value * kind.scale for value in values if value is not None]
    return number_text(max(values, key=lambda value: kind.better * value), kind) if values else None


def _reasons(rows: Sequence[Row], metrics: Sequence[str]) -> Reasons:
    """Each distinct reason once, in reading order."""
    missing = [
        row.measurements[name] for row in rows for name in metrics if name in row.measurements
    ]
    texts = dict.fromkeys(_reason(found) for found in missing if _reason(found))
    return {text: _letter(at) for at, text in enumerate(texts)}


def _reason(found: Measurement) -> str:
    """Why there is no figure; empty where there is one or nobody said why."""
    if found.value is None:
        return found.protocol
    return "" if math.isfinite(found.value) else "The measured value is not a number."


def _letter(at: int) -> str:
    return LETTERS[at % 26] * (at // 26 + 1)


def _row_name(name: str) -> str:
    return f'<th scope="row" style="{WORDS};font-weight:400;min-width:8em;max-width:18em;text-wrap:balance">{escape(name)}</th>'


def _cell(row: Row, name: str, best: str | None, reasons: Reasons) -> str:
    found, metric = row.measurements.get(name), METRICS[name]
    if _value(row, name) is None:
        letter = reasons.get(_reason(found), "") if found else ""
        note = f'<sup style="padding-left:.2em">{letter}</sup>' if letter else ""
        return f'<td style="{NUMBER}">–{note}</td>'
    value, low, high = _scaled(found, metric)
    text = number_text(value, metric)
    shown = f"<strong>{text}</strong>" if text == best and row.name not in REFERENCES else text
    return f'<td style="{NUMBER}">{shown}{_interval(found, low, high, metric)}</td>'


def _interval(found: Measurement, low: float, high: float, metric: Metric) -> str:
    if found.low is None or found.high is None:
        return ""
    return (
        f'<br><span style="{QUIET}">{number_text(low, metric)} – {number_text(high, metric)}</span>'
    )


def _footnotes(reasons: Reasons) -> str:
    """One line a reason, none without reasons."""
    lines = "".join(
        f"<div><sup>{letter}</sup> {escape(text)}</div>" for text, letter in reasons.items()
    )
    return f'<div style="opacity:.85;font-size:.85em;margin:.5em 0">{lines}</div>' if lines else ""


def _comparison(one: Comparison, metric: Metric) -> str:
    difference, low, high = (
        number_text(end * metric.scale, metric, "+") for end in (one.difference, one.low, one.high)
    )
    unit = "points" if metric.unit == "%" else metric.unit
    colour = VERDICT_COLOURS.get(one.verdict, "inherit")
    names = "".join(
        f'<td style="{WORDS};min-width:10em">{escape(name)}</td>' for name in (one.a, one.b)
    )
    return (
        f'<tr><th scope="row" style="{WORDS};font-weight:400">{escape(metric.words)}</th>{names}'
        f'<td style="{NUMBER}">{difference} {escape(unit)}<br><span style="{QUIET}">{low} to {high}</span></td>'
        f'<td style="{WORDS};white-space:nowrap;color:{colour}">{one.verdict}</td></tr>'
    )


def _axis(metric: Metric) -> str:
    unit = f" in {metric.unit}" if metric.unit else ""
    return f"{metric.words}{unit}, with 95 % interval ({'higher' if metric.better > 0 else 'lower'} is better)"


def _still(
    names: list[str],
    numbers: list[tuple[float, float, float]],
    chance: float | None,
    metric: Metric,
    title: str,
) -> Figure:
    still = blank(7.5, 0.42 * len(names) + 1.7, title)
    axes = still.subplots()
    values, ends = [value for value, _, _ in numbers], _ends(numbers)
    axes.errorbar(
        values,
        range(len(names)),
        xerr=ends,
        fmt="o",
        color=COLOUR,
        markersize=6,
        capsize=3,
        linewidth=1.6,
    )
    for at, (value, _, high) in enumerate(numbers):
        axes.annotate(
            number_text(value, metric),
            (max(value, high), at),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.85},
        )
    if chance is not None:
        axes.axvline(chance, color=TARGET_COLOUR, linestyle="--", linewidth=1.4, zorder=1)
        axes.annotate(
            f"{CHANCE} {number_text(chance, metric)}",
            (chance, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=9,
            color=TARGET_COLOUR,
        )
    axes.set_yticks(range(len(names)), [wrapped(name, 34, "\n", 68) for name in names])
    axes.set(xlabel=_axis(metric), ylim=(len(names) - 0.4, -0.6))
    axes.margins(x=0.1)
    axes.grid(axis="x", alpha=0.25)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return still


def _interactive(
    names: list[str],
    numbers: list[tuple[float, float, float]],
    chance: float | None,
    metric: Metric,
    title: str,
) -> go.Figure:
    figure = interactive(title, 34 * len(names) + 170, margin={"l": 200, "t": 80}, showlegend=False)
    below, above = _ends(numbers)
    hover = [
        f"{number_text(low, metric)} – {number_text(high, metric)}" for _, low, high in numbers
    ]
    figure.add_scatter(
        x=[value for value, _, _ in numbers],
        y=list(range(len(names))),
        mode="markers",
        marker={"color": COLOUR, "size": 9},
        error_x={
            "symmetric": False,
            "array": above,
            "arrayminus": below,
            "thickness": 1.6,
            "width": 4,
        },
        text=names,
        customdata=hover,
        hovertemplate=f"%{{text}}<br>%{{x:.{metric.digits}f}} {metric.unit}<br>95 %: %{{customdata}}<extra></extra>",
    )
    for at, (value, _, high) in enumerate(numbers):
        figure.add_annotation(
            x=max(value, high),
            y=at,
            text=number_text(value, metric),
            showarrow=False,
            xanchor="left",
            xshift=7,
            bgcolor="rgba(255,255,255,.85)",
            borderpad=0,
        )
    if chance is not None:
        line = {"color": TARGET_COLOUR, "dash": "dash"}
        words = f"{CHANCE} {number_text(chance, metric)}"
        figure.add_vline(
            x=chance,
            line=line,
            annotation_text=words,
            annotation_position="top",
            annotation_font_color=TARGET_COLOUR,
            layer="below",
        )
    axis = {
        "tickvals": list(range(len(names))),
        "ticktext": [wrapped(name, 34) for name in names],
        "zeroline": False,
    }
    figure.update_layout(
        xaxis_title=_axis(metric), yaxis={**axis, "range": [len(names) - 0.4, -0.6]}
    )
    return figure


def _ends(numbers: list[tuple[float, float, float]]) -> tuple[list[float], list[float]]:
    """Lengths of the error bars to the left and to the right, never negative."""
    return (
        [max(0.0, value - low) for value, low, _ in numbers],
        [max(0.0, high - value) for value, _, high in numbers],
    )
