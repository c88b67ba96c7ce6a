"""How gradients lie to each other: cosines along training, energy where nothing is routed, and the
trunk layer by layer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from matplotlib.axes import Axes
from plotly.subplots import make_subplots

from muse_core.errors import MuseError
from muse_core.figures.curves import smoothed
from muse_core.figures.picture import Picture, blank, interactive, wrapped
from muse_core.figures.theme import LOSS_COLOURS, MUTED, plotly_template

ROUTING_COLOURS = {"shared": LOSS_COLOURS["anchor"], "orthogonal": LOSS_COLOURS["topology"]}
TASK_COLOURS = {
    "pixels": LOSS_COLOURS["reconstruction"],
    "semantics": LOSS_COLOURS["anchor"],
    "topology": LOSS_COLOURS["topology"],
}
PAIR_COLOURS = tuple(LOSS_COLOURS[name] for name in ("anchor", "reconstruction", "topology"))
NOTHING_SHARED = "no weight in common"
SMOOTHING = 0.2
"""Share of the curve that one smoothed point looks back on; a recorder writes tens of points, not
thousands.
"""


@dataclass(frozen=True)
class Curve:
    """``steps`` (s,), ``values`` (seeds, s); not-a-number where there is no cosine."""

    steps: np.ndarray
    values: np.ndarray

    @property
    def empty(self) -> bool:
        return not np.isfinite(self.values).any()

    @property
    def mean(self) -> np.ndarray:
        """Over seeds, smoothed."""
        return smoothed(self.values.mean(0), SMOOTHING)

    @property
    def band(self) -> tuple[np.ndarray, np.ndarray]:
        """The lowest and the highest seed, each smoothed."""
        each = np.stack([smoothed(seed, SMOOTHING) for seed in self.values])
        return each.min(0), each.max(0)


def cosine_curves(
    panels: Mapping[str, Mapping[str, Curve]],
    title: str,
    stage_starts: Mapping[str, int] | None = None,
) -> Picture:
    """A panel a pair of tasks, a line a routing: mean over seeds, smoothed, with each single
    measurement as a dot.

    Raises MuseError for no panels.
    """
    if not panels:
        raise MuseError(f"There is nothing to draw in {title!r}: give at least one pair of tasks.")
    still = blank(3.4 * len(panels) + 0.6, 3.9, title)
    figure = _panels(list(panels), title)
    for at, (axes, (pair, curves)) in enumerate(
        zip(_row(still, len(panels)), panels.items(), strict=True), 1
    ):
        axes.set_title(pair, fontsize=10)
        for name, curve in curves.items():
            _cosine(axes, figure, at, name, curve)
        _stages(axes, stage_starts or {})
        for start in (stage_starts or {}).values():
            figure.add_vline(
                x=start, line={"color": MUTED, "width": 1, "dash": "dot"}, row=1, col=at
            )
        axes.set_xlabel("step")
    still.axes[0].set_ylabel("cosine of the gradients")
    still.axes[0].legend(frameon=False, fontsize=8.5, loc="upper right")
    limit = _limit([curve.values for curves in panels.values() for curve in curves.values()])
    for axes in still.axes:
        axes.set_ylim(-limit, limit)
    figure.update_yaxes(range=[-limit, limit])
    figure.update_yaxes(title_text="cosine of the gradients", col=1)
    figure.update_xaxes(title_text="step (dotted: stages)" if stage_starts else "step")
    return Picture(figure, still)


def _cosine(axes: Axes, figure: go.Figure, at: int, name: str, curve: Curve) -> None:
    """One routing in one panel; where no weight hears both tasks, a dashed line at nought that says
    so.
    """
    colour = ROUTING_COLOURS.get(name, MUTED)
    shown = {"legendgroup": name, "showlegend": at == 1}
    if curve.empty:
        words = f"{name}: {NOTHING_SHARED}"
        axes.plot(curve.steps[[0, -1]], [0, 0], "--", color=colour, linewidth=2, label=words)
        figure.add_scatter(
            x=curve.steps[[0, -1]].tolist(),
            y=[0, 0],
            mode="lines",
            name=words,
            line={"color": colour, "dash": "dash"},
            row=1,
            col=at,
            **shown,
        )
        return
    low, high = curve.band
    for seed in curve.values:
        axes.plot(curve.steps, seed, ".", color=colour, markersize=3, alpha=0.45)
        figure.add_scatter(
            x=curve.steps.tolist(),
            y=seed.astype(np.float32),
            mode="markers",
            hoverinfo="skip",
            showlegend=False,
            marker={"color": colour, "size": 4, "opacity": 0.45},
            legendgroup=name,
            row=1,
            col=at,
        )
    axes.fill_between(curve.steps, low, high, color=colour, alpha=0.18, linewidth=0)
    axes.plot(curve.steps, curve.mean, color=colour, linewidth=2, label=name)
    figure.add_scatter(
        x=curve.steps.tolist(),
        y=curve.mean.astype(np.float32),
        mode="lines",
        name=name,
        line={"color": colour},
        row=1,
        col=at,
        **shown,
    )


def _stages(axes: Axes, starts: Mapping[str, int]) -> None:
    axes.axhline(0, color="black", linewidth=0.8, zorder=1)
    for number, start in enumerate(starts.values(), 1):
        axes.axvline(start, color=MUTED, linewidth=0.8, linestyle=":", zorder=1)
        axes.annotate(
            f"stage {number}",
            (start, 0),
            xycoords=("data", "axes fraction"),
            xytext=(3, 4),
            textcoords="offset points",
            fontsize=8,
            color=MUTED,
        )


def trunk_conflict(
    routings: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]],
    layers: Sequence[str],
    title: str,
) -> Picture:
    """A panel a routing, a line a pair of tasks: mean cosine in each layer, with its 10th to 90th
    percentile.

    ``routings``: routing -> pair -> (mean, low, high), each (layers,). Raises MuseError for no
    routings."""
    if not routings:
        raise MuseError(f"There is nothing to draw in {title!r}: give at least one routing.")
    still = blank(3.6 * len(routings) + 0.8, 4.2, title)
    figure = _panels(list(routings), title)
    positions = np.arange(len(layers))
    for at, (axes, (name, pairs)) in enumerate(
        zip(_row(still, len(routings)), routings.items(), strict=True), 1
    ):
        axes.set_title(name, fontsize=10)
        axes.axhline(0, color="black", linewidth=0.8, zorder=1)
        for step, ((pair, values), colour) in enumerate(
            zip(pairs.items(), PAIR_COLOURS, strict=False)
        ):
            _layers(axes, figure, at, pair, values, colour, positions + 0.16 * (step - 1))
        axes.set_xticks(
            positions, layers, rotation=45, ha="right", rotation_mode="anchor", fontsize=8.5
        )
    still.axes[0].set_ylabel("cosine of the gradients")
    still.legend(
        *still.axes[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=3,
        frameon=False,
        fontsize=9,
    )
    limit = _limit([np.stack(values) for pairs in routings.values() for values in pairs.values()])
    for axes in still.axes:
        axes.set_ylim(-limit, limit)
    figure.update_yaxes(range=[-limit, limit])
    figure.update_yaxes(title_text="cosine of the gradients", col=1)
    figure.update_xaxes(tickvals=positions.tolist(), ticktext=list(layers), tickangle=-45)
    return Picture(figure, still)


def _layers(
    axes: Axes,
    figure: go.Figure,
    at: int,
    pair: str,
    values: tuple[np.ndarray, ...],
    colour: str,
    x: np.ndarray,
) -> None:
    mean, low, high = values
    below, above = (np.nan_to_num(np.maximum(0, each)) for each in (mean - low, high - mean))
    axes.errorbar(
        x,
        mean,
        yerr=[below, above],
        fmt="o-",
        color=colour,
        markersize=4,
        linewidth=1.4,
        elinewidth=1,
        label=pair,
    )
    figure.add_scatter(
        x=x.tolist(),
        y=mean.astype(np.float32),
        mode="lines+markers",
        name=pair,
        legendgroup=pair,
        showlegend=at == 1,
        line={"color": colour},
        row=1,
        col=at,
        error_y={
            "symmetric": False,
            "array": above.astype(np.float32),
            "arrayminus": below.astype(np.float32),
            "width": 3,
        },
    )


def energy_violins(
    energy: Mapping[str, Mapping[str, np.ndarray]], title: str, unit: str
) -> Picture:
    """``energy``: kind of weight -> task -> samples (n,); split violins, the first task on the
    left, with medians.

    Raises MuseError for nothing to draw.
    """
    if not energy or not any(len(values) for held in energy.values() for values in held.values()):
        raise MuseError(f"There is nothing to draw in {title!r}: no sample was given.")
    still, figure = (
        blank(7.5, 4.2, title),
        interactive(title, 430, violinmode="overlay", violingap=0.1),
    )
    axes = still.subplots()
    tasks = list(next(iter(energy.values())))
    for side, task in zip((-1, 1), tasks, strict=True):
        colour = TASK_COLOURS.get(task, MUTED)
        for at, (kind, held) in enumerate(energy.items()):
            _half_violin(
                axes,
                at,
                side,
                np.asarray(held[task], dtype=float),
                colour,
                task if at == 0 else None,
            )
            figure.add_violin(
                x=[kind] * len(held[task]),
                y=np.asarray(held[task], dtype=np.float32),
                name=task,
                legendgroup=task,
                side="negative" if side < 0 else "positive",
                line_color=colour,
                points=False,
                meanline_visible=False,
                showlegend=at == 0,
                spanmode="hard",
                scalemode="width",
                width=0.9,
            )
    axes.set_xticks(range(len(energy)), list(energy), fontsize=11)
    axes.set(ylabel=wrapped(unit, 40, "\n"), ylim=(-0.03, 1.03))
    axes.legend(frameon=False, loc="upper center", ncols=2)
    axes.grid(axis="y", alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    figure.update_yaxes(title_text=wrapped(unit, 30), range=[-0.03, 1.03])
    return Picture(figure, still)


def _half_violin(
    axes: Axes, at: int, side: int, values: np.ndarray, colour: str, label: str | None
) -> None:
    """Half of a violin with its median beside it; a few samples, or all of one value, are dots."""
    if len(values) >= 3 and np.ptp(values) > 1e-9:
        (body,) = axes.violinplot(values, [at], widths=0.8, showextrema=False)["bodies"]
        path = body.get_paths()[0].vertices
        path[:, 0] = np.clip(path[:, 0], at, None) if side > 0 else np.clip(path[:, 0], None, at)
        body.set(facecolor=colour, edgecolor=colour, alpha=0.55)
    else:
        axes.plot(np.full(len(values), at + 0.1 * side), values, "o", color=colour, markersize=4)
    axes.plot([], [], color=colour, linewidth=6, alpha=0.55, label=label)
    if len(values):
        median = float(np.median(values))
        axes.plot([at, at + 0.2 * side], [median] * 2, color=colour, linewidth=2.4)
        axes.annotate(
            f"{median:.0%}",
            (at + 0.22 * side, median),
            ha="left" if side > 0 else "right",
            va="bottom",
            fontsize=9,
            color=colour,
            fontweight="bold",
        )


def cosine_boxes(samples: Mapping[str, Mapping[str, np.ndarray]], title: str) -> Picture:
    """``samples``: kind of weight -> routing -> |cosine| (n,); a routing without samples is said to
    share no weight.
    """
    if not samples:
        raise MuseError(f"There is nothing to draw in {title!r}: give at least one kind of weight.")
    still, figure = blank(8, 4, title), interactive(title, 420, boxmode="group")
    axes = still.subplots()
    routings = list(next(iter(samples.values())))
    for index, routing in enumerate(routings):
        colour, shift = (
            ROUTING_COLOURS.get(routing, MUTED),
            0.36 * (index - (len(routings) - 1) / 2),
        )
        for at, by_routing in enumerate(samples.values()):
            values = by_routing[routing]
            if len(values):
                axes.boxplot(
                    values,
                    positions=[at + shift],
                    widths=0.3,
                    showfliers=False,
                    patch_artist=True,
                    manage_ticks=False,
                    boxprops={"facecolor": colour, "alpha": 0.5},
                    medianprops={"color": "black"},
                )
            else:
                axes.plot(at + shift, 0, marker="x", color=colour, markersize=7)
        axes.plot([], [], color=colour, linewidth=6, alpha=0.5, label=routing)
        held = [
            (kind, value) for kind, by_routing in samples.items() for value in by_routing[routing]
        ]
        figure.add_box(
            x=[kind for kind, _ in held],
            y=np.array([value for _, value in held], dtype=np.float32),
            name=routing if held else f"{routing}: {NOTHING_SHARED}",
            marker_color=colour,
            boxpoints=False,
            showlegend=True,
        )
    axes.plot([], [], "x", color=MUTED, label=NOTHING_SHARED)
    axes.set_xticks(range(len(samples)), list(samples), fontsize=10)
    axes.set(ylabel="|cosine|", ylim=(-0.01, None))
    axes.legend(frameon=False, fontsize=9)
    axes.grid(axis="y", alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    figure.update_yaxes(title_text="|cosine|", rangemode="tozero")
    return Picture(figure, still)


def _row(still, count: int) -> list[Axes]:
    found = np.atleast_1d(still.subplots(1, count, sharey=True))
    for axes in found:
        axes.grid(axis="y", alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    return list(found)


def _panels(names: list[str], title: str) -> go.Figure:
    figure = make_subplots(
        1, len(names), subplot_titles=names, shared_yaxes=True, horizontal_spacing=0.03
    )
    figure.update_layout(
        template=plotly_template(),
        title_text=wrapped(title, 90),
        height=450,
        margin={"t": 100, "b": 130},
        legend={"orientation": "h", "y": -0.42, "x": 0},
    )
    figure.update_yaxes(zeroline=True, zerolinecolor="black", zerolinewidth=1)
    return figure


def _limit(arrays: Sequence[np.ndarray]) -> float:
    """Half the height of a cosine axis: what the data need, a tenth at least."""
    finite = np.concatenate(
        [np.abs(array[np.isfinite(array)]).ravel() for array in arrays] or [np.zeros(1)]
    )
    return float(min(1.02, max(0.1, 1.15 * finite.max(initial=0.0))))
