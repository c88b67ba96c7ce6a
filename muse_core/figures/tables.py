"""What every table of figures shares: its look on light and dark pages, numbers in a metric's unit,
headings, the frame.
"""

from html import escape

from muse_core.errors import unknown
from muse_core.results.measurements import METRICS, Metric

LINE = "1px solid rgba(128,128,128,.35)"
CELL = f"padding:.4em .7em;border:0;border-bottom:{LINE};vertical-align:top;line-height:1.35"
NUMBER = f"{CELL};text-align:right;white-space:nowrap"
WORDS = f"{CELL};text-align:left"
QUIET = "opacity:.75;font-size:.84em;font-weight:400;white-space:nowrap"
CAPTION = "caption-side:top;text-align:left;padding:0 0 .5em;color:inherit;font-weight:600"
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


def heading(metric: Metric, least: float = 6.8) -> str:
    """A column's head: words, unit, and which way is better; ``least``: its width in em, at least."""
    arrow, words = ("↑", "higher is better") if metric.better > 0 else ("↓", "lower is better")
    second = (
        f'<span style="{QUIET}">{escape(metric.unit)} <span title="{words}">{arrow}</span></span>'
    )
    return (
        f'<th scope="col" style="{NUMBER};white-space:normal;vertical-align:bottom;min-width:{least}em;max-width:8em">'
        f"{escape(metric.words)}<br>{second}</th>"
    )


def table(caption: str, head: str, body: str, below: str = "") -> str:
    """A table that scrolls in its own box, reachable by keyboard, and what stands below it."""
    words = escape(caption)
    return (
        f'<div style="margin:0 0 1em"><div style="overflow-x:auto" tabindex="0" role="region" aria-label="{words}">'
        '<table style="border-collapse:collapse;table-layout:auto;margin:0;color:inherit;'
        f'font-variant-numeric:tabular-nums"><caption style="{CAPTION}">{words}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{below}</div>"
    )
