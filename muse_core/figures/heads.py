"""One measure of attention by layer: a line a network through the mean of its heads, and a dot for every head."""

from itertools import count

import numpy as np

from muse_core.errors import MuseError
from muse_core.figures.picture import Picture, blank, interactive
from muse_core.figures.theme import INK, MUTED, SEQUENCE, stage_colour

DASHED = {"teacher": "dash"}


def by_layer(
    values: dict[str, np.ndarray], title: str, unit: str, reference: dict[str, float] | None = None
) -> Picture:
    """``values``: network -> (layers, heads), NaN where unknown; ``reference``: label -> a level to compare with.

    Networks with another number of layers than the first are spread over the same depth. Raises MuseError for nothing to
    draw, and for tables of another shape.
    """
    tables = {name: np.asarray(table, dtype=np.float32) for name, table in values.items()}
    if not tables:
        raise MuseError(f"There is nothing to draw for {title!r}: give one table a network.")
    for name, table in tables.items():
        if table.ndim != 2 or not table.size:
            raise MuseError(f"The table of {name!r} has shape {table.shape}: give (layers, heads).")
    depth = len(next(iter(tables.values())))
    still, figure = blank(9, 4, title), interactive(title, 440, hovermode="closest")
    axes = still.subplots()
    for (name, table), colour, dodge in zip(tables.items(), _colours(tables), _dodges(len(tables)), strict=True):
        places = np.linspace(1, depth, len(table)) if len(table) > 1 else np.array([float(depth)])
        _network(axes, figure, name, table, places, dodge, colour)
    for label, level in (reference or {}).items():
        axes.axhline(level, color=MUTED, linewidth=1, linestyle=":", label=f"{label}: {level:.2f}")
        figure.add_hline(y=level, line={"color": MUTED, "width": 1, "dash": "dot"}, annotation_text=label)
    axes.set(xlabel="layer", ylabel=unit, xticks=np.arange(1, depth + 1))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9)
    figure.update_layout(xaxis={"title": "layer", "dtick": 1}, yaxis_title=unit)
    return Picture(figure, still)


def _network(axes, figure, name: str, table: np.ndarray, places: np.ndarray, dodge: float, colour: str) -> None:
    """One network on both faces."""
    with np.errstate(invalid="ignore"):
        known = np.isfinite(table).sum(1)
        mean = np.nansum(table, axis=1) / np.where(known, known, np.nan)
    line = next((style for word, style in DASHED.items() if name.startswith(word)), "solid")
    x = np.repeat(places + dodge, table.shape[1])
    axes.plot(places + dodge, mean, color=colour, linestyle="--" if line == "dash" else "-", linewidth=2, label=name)
    axes.plot(x, table.ravel(), "o", color=colour, markersize=3.5, alpha=0.45, markeredgewidth=0)
    figure.add_scatter(x=places + dodge, y=mean, mode="lines", name=name, legendgroup=name,
                       line={"color": colour, "width": 2.2, "dash": line})  # fmt: skip
    figure.add_scatter(x=x, y=table.ravel(), mode="markers", name=name, legendgroup=name, showlegend=False,
                       marker={"color": colour, "size": 5, "opacity": 0.5},
                       text=[f"head {head + 1}" for _ in table for head in range(table.shape[1])])  # fmt: skip


def _colours(names) -> list[str]:
    """The theme's colour of a stage; ink for a teacher; the theme's next for anything else."""
    others = count()
    found = []
    for name in names:
        stage = name.rsplit(" ", 1)[-1]
        if name.startswith("teacher"):
            found.append(INK)
        elif name.startswith("after stage") and stage.isdigit():
            found.append(stage_colour(int(stage)))
        else:
            found.append(SEQUENCE[next(others) % len(SEQUENCE)])
    return found


def _dodges(networks: int) -> np.ndarray:
    """Sideways shifts, so that dots of different networks do not hide each other."""
    return np.linspace(-0.18, 0.18, networks) if networks > 1 else np.zeros(1)
