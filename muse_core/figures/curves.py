"""Training curves from the rows of ``metrics.jsonl``: what was measured, thin, and what to read,
bold.
"""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from muse_core.errors import MuseError, unknown
from muse_core.figures.picture import Picture, blank, interactive
from muse_core.figures.theme import LOSS_COLOURS, SEQUENCE

MOST_POINTS = 1000


def loss_curves(
    rows: Sequence[dict], names: Sequence[str], title: str = "", log: bool = True
) -> Picture:
    """Each named loss over steps, raw (thin) and smoothed (bold).

    ``log`` asks for a logarithmic axis; a loss that reaches zero or below (a GAN's) keeps the axis
    linear."""
    series = {name: column(rows, name) for name in names}
    logarithmic = log and all(
        np.nanmin(values, initial=np.inf) > 0 for _, values in series.values()
    )
    return _draw(series, title or _ends(series, "losses"), "loss", logarithmic, smooth=True)


def learning_rate_curve(
    rows: Sequence[dict], names: Sequence[str] = ("learning_rate",), title: str = ""
) -> Picture:
    """The learning rate of each named group over steps, as it was used."""
    series = {name: column(rows, name) for name in names}
    return _draw(
        series,
        title or _ends(series, "learning rate"),
        "learning rate",
        logarithmic=False,
        smooth=False,
    )


def column(rows: Sequence[dict], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values (float64) of the rows that hold ``name``; raises MuseError where none does."""
    held = [(row["step"], row[name]) for row in rows if row.get(name) is not None and "step" in row]
    if not held:
        raise unknown(
            "metric",
            name,
            sorted({key for row in rows for key in row} - {"step"}) or ["(the records are empty)"],
        )
    steps, values = np.array(held, dtype=float).T
    return steps, values


def smoothed(values: np.ndarray, share: float = 0.03) -> np.ndarray:
    """Running exponential mean over about ``share`` of the curve, unbiased at its start; gaps (NaN)
    are passed over.
    """
    keep = 1 - 1 / max(1.0, share * len(values))
    mean, weight, out = 0.0, 0.0, np.full(len(values), np.nan)
    for index, value in enumerate(values):
        if np.isfinite(value):
            mean, weight = keep * mean + (1 - keep) * value, keep * weight + (1 - keep)
        out[index] = mean / weight if weight else np.nan
    return out


def thinned(values: np.ndarray, most: int = MOST_POINTS) -> np.ndarray:
    """At most ``most`` indices that keep both ends and the lowest and highest value of each stretch
    between.
    """
    if len(values) <= most:
        return np.arange(len(values))
    kept = {0, len(values) - 1}
    for stretch in np.array_split(np.arange(len(values)), most // 2 - 1):
        piece = values[stretch]
        kept |= {int(stretch[np.argmin(np.nan_to_num(piece, nan=np.inf))])}
        kept |= {int(stretch[np.argmax(np.nan_to_num(piece, nan=-np.inf))])}
    return np.array(sorted(kept))


def colour_of(name: str, position: int) -> str:
    """The colour this loss has in every notebook, else the next one of the theme."""
    return LOSS_COLOURS.get(name.split("/")[-1], SEQUENCE[position % len(SEQUENCE)])


def _draw(
    series: dict[str, tuple[np.ndarray, np.ndarray]],
    title: str,
    unit: str,
    logarithmic: bool,
    smooth: bool,
) -> Picture:
    scale = "log" if logarithmic else "linear"
    still, figure = blank(8, 4, title), interactive(title, 420, hovermode="x unified")
    axes = still.subplots()
    for position, (name, (steps, values)) in enumerate(series.items()):
        colour = colour_of(name, position)
        if smooth:
            _line(axes, figure, steps, values, name, colour, raw=True)
        _line(axes, figure, steps, smoothed(values) if smooth else values, name, colour, raw=False)
    axes.set(xlabel="step", ylabel=f"{unit} (log)" if logarithmic else unit, yscale=scale)
    axes.grid(alpha=0.25, which="both" if logarithmic else "major")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.update_layout(
        xaxis_title="step", yaxis={"title": f"{unit} (log)" if logarithmic else unit, "type": scale}
    )
    return Picture(figure, still)


def _line(
    axes,
    figure: go.Figure,
    steps: np.ndarray,
    values: np.ndarray,
    name: str,
    colour: str,
    raw: bool,
) -> None:
    """One line on both faces, with at most `MOST_POINTS` points."""
    kept = thinned(values)
    x, y = steps[kept].astype(np.int32), values[kept].astype(np.float32)
    width, opacity = (0.7, 0.35) if raw else (2.2, 1.0)
    axes.plot(x, y, color=colour, linewidth=width, alpha=opacity, label=None if raw else name)
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines",
        name=name,
        legendgroup=name,
        showlegend=not raw,
        hoverinfo="skip" if raw else None,
        line={"color": colour, "width": width},
        opacity=opacity,
    )


def _ends(series: dict[str, tuple[np.ndarray, np.ndarray]], what: str) -> str:
    """The sentence a curve shows, e.g. "losses over 500 steps: topology 1.2 → 0.3"."""
    if not series:
        raise MuseError(f"No {what} to draw: name at least one column of metrics.jsonl.")
    last = int(max(steps[-1] for steps, _ in series.values()))
    ends = ", ".join(
        f"{name.split('/')[-1]} {smoothed(values)[0]:.3g} → {smoothed(values)[-1]:.3g}"
        for name, (_, values) in series.items()
    )
    return f"{what.capitalize()} until step {last:,}: {ends}".replace("learning_rate ", "")
