"""What every table shares: its look on light and dark pages, numbers in a metric's unit, cells, the
frame.
"""

import math
from collections.abc import Iterable, Sequence
from html import escape

from muse_core.errors import unknown
from muse_core.results.measurements import METRICS, Metric, Row

CHANCE, REAL_IMAGES = "chance", "real images"
"""The row of guesses, also a line in a plot, and the row of the data itself."""

LINE = "1px solid rgba(128,128,128,.35)"
CELL = f"padding:.4em .7em;border:0;border-bottom:{LINE};vertical-align:top;line-height:1.35"
QUIET = "opacity:.75;font-size:.84em;font-weight:400"
CAPTION = "caption-side:top;text-align:left;padding:0 0 .5em;color:inherit;font-weight:600"
FRAME = (
    "border-collapse:collapse;table-layout:auto;margin:0;color:inherit;"
    "font-variant-numeric:tabular-nums"
)
VERDICT_COLOURS = {"better": "var(--good,inherit)", "worse": "var(--bad,inherit)"}


def metric_named(name: str) -> Metric:
    """Raises MuseError for an unknown name."""
    if name not in METRICS:
        raise unknown("metric", name, METRICS)
    return METRICS[name]


def number_text(number: float, metric: Metric, sign: str = "") -> str:
    """A number in the metric's unit and digits; a difference (``sign`` "+") gets one digit more,
    being small.
    """
    return f"{number:{sign}z.{metric.digits + bool(sign)}f}".replace("-", "−")


def scaled(row: Row, metric: str) -> tuple[float, float, float] | None:
    """Value, low and high in the metric's unit, both ends the value where no interval exists; None
    without a value.
    """
    found, scale = row.measurements.get(metric), METRICS[metric].scale
    if found is None or found.value is None or not math.isfinite(found.value):
        return None
    low, high = (found.value if end is None else end for end in (found.low, found.high))
    return found.value * scale, low * scale, high * scale


def cell(
    text: str,
    below: str = "",
    head: str = "",
    words: bool = False,
    bold: bool = False,
    colour: str = "inherit",
    tip: str = "",
    note: str = "",
    style: str = "",
) -> str:
    """One cell, every text escaped: ``below`` is a quiet second line, ``note`` a raised letter.

    ``head``: "row" or "col" where it names one; ``words``: left and broken into lines, not a number
    at the right."""
    tag = "th" if head else "td"
    side = "left" if words else "right;white-space:nowrap"
    look = f"{CELL};text-align:{side};color:{colour};font-weight:{600 if bold else 400};{style}"
    shown = f"<strong>{escape(text)}</strong>" if bold and head != "col" else escape(text)
    shown += f'<sup style="padding-left:.2em">{note}</sup>' if note else ""
    shown += f'<br><span style="{QUIET}">{escape(below)}</span>' if below else ""
    scope = f' scope="{head}"' if head else ""
    title = f' title="{escape(tip)}"' if tip else ""
    return f'<{tag}{scope} style="{look}"{title}>{shown}</{tag}>'


def metric_head(metric: Metric, least: float = 6.8) -> str:
    """A column's head: words, unit, and which way is better; ``least``: its width in em, at least."""
    arrow, tip = ("↑", "higher is better") if metric.better > 0 else ("↓", "lower is better")
    style = f"white-space:normal;vertical-align:bottom;min-width:{least}em;max-width:8em"
    return cell(metric.words, f"{metric.unit} {arrow}", "col", bold=True, tip=tip, style=style)


def word_heads(*names: str) -> list[str]:
    """Heads of columns that hold words."""
    style = "vertical-align:bottom"
    return [cell(name, head="col", words=True, bold=bool(name), style=style) for name in names]


def table(
    caption: str, head: Iterable[str], rows: Iterable[Sequence[str]], below: Sequence[str] = ()
) -> str:
    """A table that scrolls in its own box, reachable by keyboard, and lines (HTML) below it."""
    words, body = escape(caption), "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    notes = "".join(f"<div>{line}</div>" for line in below)
    if notes:
        notes = f'<div style="opacity:.85;font-size:.85em;margin:.5em 0">{notes}</div>'
    return (
        '<div style="margin:0 0 1em"><div style="overflow-x:auto" tabindex="0" role="region"'
        f' aria-label="{words}"><table style="{FRAME}"><caption style="{CAPTION}">{words}</caption>'
        f"<thead><tr>{''.join(head)}</tr></thead><tbody>{body}</tbody></table></div>{notes}</div>"
    )
