"""A study's results: its table, each row's difference to the first, and a sentence a row."""

from collections.abc import Sequence
from html import escape

import plotly.graph_objects as go
from matplotlib.figure import Figure

from muse_core.errors import MuseError
from muse_core.figures.bars import COLOUR
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
from muse_core.figures.theme import MUTED
from muse_core.results.measurements import METRICS, Metric, StudyCell, StudyRecord, StudyRow

OUTCOME_COLOURS = {"reproduced": VERDICT_COLOURS["better"], "failed": VERDICT_COLOURS["worse"]}
SENTENCE_METRICS = ("psnr", "zero_shot", "linear_probe", "miou", "attention_auc")


def study_table(record: StudyRecord, metrics: Sequence[str]) -> str:
    """HTML: one line a row with its figures, what the paper says of it, and what came out. Raises
    MuseError for no rows.
    """
    if not record.rows:
        raise MuseError(f"The study {record.study!r} has no rows to show.")
    shown = [
        name
        for name in metrics
        if metric_named(name) and any(name in row.cells for row in record.rows)
    ]
    head = f'<th scope="col" style="{WORDS};vertical-align:bottom">what is changed</th>'
    head += "".join(heading(METRICS[name], least=3.5) for name in shown)
    head += f'<th scope="col" style="{WORDS};vertical-align:bottom">the paper says<br>and <strong>here</strong></th>'
    body = "".join(f"<tr>{_line(row, shown)}</tr>" for row in record.rows)
    caption = f"Study {record.study}: preset {record.preset}, {record.data}, seeds {', '.join(map(str, record.seeds))}"
    return table(caption, head, body, _failures(record.rows))


def _line(row: StudyRow, metrics: Sequence[str]) -> str:
    first = (
        f'<th scope="row" style="{WORDS};font-weight:400;min-width:8.5em;max-width:14em"><strong>{escape(row.name)}</strong>'
        f'<br><span style="{QUIET.replace("nowrap", "normal")}">{escape(row.words)}</span></th>'
    )
    cells = "".join(_cell(row.cells.get(name), METRICS[name]) for name in metrics)
    if not row.cells:
        cells = f'<td colspan="{len(metrics)}" style="{WORDS};opacity:.75">no run was finished</td>'
    return f"{first}{cells}{_statement(row)}"


def _statement(row: StudyRow) -> str:
    """What the paper says of a row, and below it what came out."""
    colour = OUTCOME_COLOURS.get(row.outcome, "inherit")
    outcome = f'<strong style="color:{colour}">{row.outcome}</strong>' if row.outcome else ""
    words = "<br>".join(part for part in (escape(row.paper), outcome) if part) or "–"
    return f'<td style="{WORDS};min-width:8em;max-width:13em">{words}</td>'


def _cell(cell: StudyCell | None, metric: Metric) -> str:
    """The mean, coloured where it differs from the first row's, over its interval; without one,
    seeds are in the tooltip.
    """
    if cell is None:
        return f'<td style="{NUMBER}">–</td>'
    colour = VERDICT_COLOURS.get(verdict(cell, metric), "inherit")
    seeds = ", ".join(number_text(value * metric.scale, metric) for value in cell.by_seed)
    value = number_text(cell.value * metric.scale, metric)
    return (
        f'<td style="{NUMBER}"><span style="color:{colour}" title="by seed: {seeds}">{value}</span>'
        f"{_interval(cell, metric)}</td>"
    )


def _interval(cell: StudyCell, metric: Metric) -> str:
    if cell.low is None or cell.high is None:
        return ""
    low, high = (number_text(end * metric.scale, metric) for end in (cell.low, cell.high))
    return f'<br><span style="{QUIET}">{low} – {high}</span>'


def verdict(cell: StudyCell, metric: Metric) -> str:
    """ "better", "worse" or "no difference" against the first row."""
    if cell.direction == "same":
        return "no difference"
    return "better" if (cell.direction == "higher") == (metric.better > 0) else "worse"


def _failures(rows: Sequence[StudyRow]) -> str:
    found = [
        f"<div>{escape(row.name)}, {escape(reason)}</div>"
        for row in rows
        for reason in row.failures
    ]
    return (
        f'<div style="opacity:.85;font-size:.85em;margin:.5em 0">Not finished:{"".join(found)}</div>'
        if found
        else ""
    )


def study_differences(record: StudyRecord, metric: str, title: str) -> Picture:
    """A dot a row: its difference to the first row with the interval, each seed a small dot beside
    it.

    Raises MuseError where no row has a difference.
    """
    kind = metric_named(metric)
    rows = [(row.name, row.cells[metric]) for row in record.rows if metric in row.cells]
    rows = [(name, cell) for name, cell in rows if cell.difference is not None]
    if not rows:
        raise MuseError(
            f"There is nothing to draw in {title!r}: no row has a difference in {metric!r}."
        )
    axis = f"{kind.words}: difference to {record.rows[0].name}, {'points' if kind.unit == '%' else kind.unit}".rstrip(
        ", "
    )
    return Picture(_interactive(rows, kind, axis, title), _still(rows, kind, axis, title))


def _still(rows: list[tuple[str, StudyCell]], metric: Metric, axis: str, title: str) -> Figure:
    still = blank(7.5, 0.42 * len(rows) + 1.6, title)
    axes = still.subplots()
    for at, (_, cell) in enumerate(rows):
        value, below, above = _numbers(cell, metric)
        axes.errorbar(
            value,
            at,
            xerr=[[below], [above]],
            fmt="o",
            color=COLOUR,
            markersize=6,
            capsize=3,
            linewidth=1.6,
        )
        axes.plot(
            [each * metric.scale for each in cell.differences_by_seed],
            [at + 0.24] * len(cell.by_seed),
            "|",
            color=MUTED,
        )
        axes.annotate(
            number_text(value, metric, "+"),
            (1.01, at),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=9,
        )
    axes.axvline(0, color="black", linewidth=0.9, zorder=1)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.set(xlabel=f"{axis} (line: 95 % interval, ticks: seeds)", ylim=(len(rows) - 0.4, -0.6))
    axes.margins(x=0.08)
    axes.grid(axis="x", alpha=0.25)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return still


def _interactive(
    rows: list[tuple[str, StudyCell]], metric: Metric, axis: str, title: str
) -> go.Figure:
    figure = interactive(title, 34 * len(rows) + 170, margin={"l": 150}, showlegend=False)
    names, numbers = [name for name, _ in rows], [_numbers(cell, metric) for _, cell in rows]
    figure.add_scatter(
        x=[value for value, _, _ in numbers],
        y=names,
        mode="markers",
        marker={"color": COLOUR, "size": 9},
        error_x={
            "symmetric": False,
            "arrayminus": [below for _, below, _ in numbers],
            "array": [above for _, _, above in numbers],
        },
        hovertemplate=f"%{{y}}: %{{x:+.{metric.digits + 1}f}}<extra></extra>",
    )
    seeds = [
        (name, each * metric.scale) for name, cell in rows for each in cell.differences_by_seed
    ]
    figure.add_scatter(
        x=[value for _, value in seeds],
        y=[name for name, _ in seeds],
        mode="markers",
        name="one seed",
        marker={"color": MUTED, "size": 9, "symbol": "line-ns-open"},
        hovertemplate="one seed: %{x}<extra></extra>",
    )
    figure.add_vline(x=0, line={"color": "black", "width": 1})
    figure.update_layout(
        xaxis_title=wrapped(axis, 80), yaxis={"autorange": "reversed", "automargin": True}
    )
    return figure


def _numbers(cell: StudyCell, metric: Metric) -> tuple[float, float, float]:
    """Difference, and lengths of its error bar to the left and right, in the metric's unit."""
    ends = [
        end if end is not None else cell.difference
        for end in (cell.difference_low, cell.difference_high)
    ]
    value, low, high = (each * metric.scale for each in (cell.difference, *ends))
    return value, max(0.0, value - low), max(0.0, high - value)


def outcome_sentences(record: StudyRecord) -> list[str]:
    """One sentence a row after the first: what differs, and how that compares with the paper."""
    return [_sentence(row) for row in record.rows[1:]]


def _sentence(row: StudyRow) -> str:
    start = f"<strong>{escape(row.name)}</strong> ({escape(row.words)})"
    if not row.cells:
        return f"{start}: no run was finished: {escape('; '.join(row.failures))}."
    parts = [
        f"{METRICS[name].words} {number_text(cell.difference * METRICS[name].scale, METRICS[name], '+')}"
        f"{' ' + ('points' if METRICS[name].unit == '%' else METRICS[name].unit) if METRICS[name].unit else ''}"
        for name in SENTENCE_METRICS
        if (cell := row.cells.get(name))
        and cell.difference is not None
        and cell.direction != "same"
    ]
    found = ", ".join(parts) or "no figure can be told apart from the first row's"
    paper = f" The paper says: {escape(row.paper)}. <em>{row.outcome}.</em>" if row.paper else ""
    return f"{start}: {found}.{paper}"
