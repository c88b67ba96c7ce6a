"""How gradients lie to each other: cosines along training, energy where nothing is routed, and the
trunk layer by layer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from muse_core.figures.curves import smoothed
from muse_core.figures.marks import Axis, Line, Mark, Panel, Rule, Words, wrapped
from muse_core.figures.picture import Picture, nothing
from muse_core.figures.theme import INK, LOSS_COLOURS, MUTED

ROUTING_COLOURS = {"shared": LOSS_COLOURS["anchor"], "orthogonal": LOSS_COLOURS["topology"]}
TASK_COLOURS = {"pixels": LOSS_COLOURS["reconstruction"], "semantics": LOSS_COLOURS["anchor"]}
TASK_COLOURS |= {"topology": LOSS_COLOURS["topology"]}
PAIR_COLOURS = tuple(LOSS_COLOURS[name] for name in ("anchor", "reconstruction", "topology"))
NOTHING_SHARED = "no weight in common"
COSINE = "cosine of the gradients"
SMOOTHING = 0.2
"""Share of the curve that one smoothed point looks back on; a recorder writes tens of points, not
thousands.
"""


@dataclass(frozen=True)
class Curve:
    """``steps`` (s,), ``values`` (seeds, s); not-a-number where there is no cosine."""

    steps: np.ndarray
    values: np.ndarray


def cosine_curves(
    panels: Mapping[str, Mapping[str, Curve]],
    title: str,
    stage_starts: Mapping[str, int] | None = None,
) -> Picture:
    """A panel a pair of tasks, a line a routing: mean over seeds, smoothed, with each single
    measurement as a dot.

    Args:
        panels: Pair of tasks -> routing -> its cosines.
        title: What the curves show.
        stage_starts: Stage -> the step that it begins with.
    """
    rules: list[Mark] = [Rule(0.0, across=True, colour=INK, dash="solid")]
    for at, start in enumerate((stage_starts or {}).values(), 1):
        rules.append(Rule(float(start), f"stage {at}", dash="dot"))
    limit = _limit([curve.values for curves in panels.values() for curve in curves.values()])
    drawn = []
    for at, (pair, curves) in enumerate(panels.items()):
        marks = [mark for name, curve in curves.items() for mark in _cosine(name, curve)]
        axis = Axis(COSINE if at == 0 else "", limits=(-limit, limit))
        drawn.append(Panel([*rules, *marks], Axis("step"), axis, pair))
    return Picture(title, drawn, (3.4 * len(panels) + 0.6, 4.2), "cosines", len(panels))


def _cosine(name: str, curve: Curve) -> Sequence[Mark]:
    """One routing in one panel: the smoothed mean over seeds, a band from the lowest smoothed seed
    to the highest, and dots; where no weight hears both tasks, a dashed line at nought that says
    so.
    """
    colour, steps = ROUTING_COLOURS.get(name, MUTED), curve.steps
    if not np.isfinite(curve.values).any():
        words, ends = f"{name}: {NOTHING_SHARED}", np.array([steps[0], steps[-1]])
        return [Line(ends, np.zeros(2), words, colour, dash="dash")]
    style = {"marker": "circle", "size": 4, "opacity": 0.45, "group": name, "hover": ()}
    dots = [Line(steps, seed.astype(np.float32), "", colour, 0, **style) for seed in curve.values]
    seeds = np.stack([smoothed(seed, SMOOTHING) for seed in curve.values]).astype(np.float32)
    held = np.isfinite(seeds).all(0)
    low, high = seeds[:, held].min(0), seeds[:, held].max(0)
    around = np.concatenate([steps[held], steps[held][::-1]]), np.concatenate([low, high[::-1]])
    band = Line(*around, "", colour, 0, opacity=0.2, group=name, filled=True, hover=())
    mean = smoothed(curve.values.mean(0), SMOOTHING).astype(np.float32)
    return [*dots, band, Line(steps, mean, name, colour)]


def trunk_conflict(
    routings: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]],
    layers: Sequence[str],
    title: str,
) -> Picture:
    """A panel a routing, a line a pair of tasks: mean cosine in each layer, with its 10th to 90th
    percentile.

    Args:
        routings: Routing -> pair -> mean, low and high, each (layers,).
        layers: Their names.
        title: What the lines show.
    """
    limit = _limit([np.stack(three) for pairs in routings.values() for three in pairs.values()])
    positions, drawn = np.arange(len(layers)), []
    for at, (name, pairs) in enumerate(routings.items()):
        marks: list[Mark] = [Rule(0.0, across=True, colour=INK, dash="solid")]
        for step, (pair, three) in enumerate(pairs.items()):
            mean, low, high = (np.asarray(each, dtype=np.float32) for each in three)
            x, colour = positions + 0.16 * (step - 1), PAIR_COLOURS[step % len(PAIR_COLOURS)]
            style = {"marker": "circle", "low": low, "high": high}
            marks.append(Line(x, mean, pair, colour, 1.4, **style))
        x = Axis(ticks=dict(enumerate(layers)), tilted=True, grid=False)
        drawn.append(Panel(marks, x, Axis(COSINE if at == 0 else "", limits=(-limit, limit)), name))
    return Picture(title, drawn, (3.6 * len(routings) + 0.8, 4.6), "trunk", len(routings))


def energy_violins(
    energy: Mapping[str, Mapping[str, np.ndarray]], title: str, unit: str
) -> Picture:
    """Split violins, the first task on the left, with medians; a few samples, or all of one value,
    are dots.

    Args:
        energy: Kind of weight -> task (two of them) -> samples (n,) in 0..1.
        title: What the violins show.
        unit: What was measured.

    Raises:
        MuseError: There is no sample.
    """
    if not any(len(values) for held in energy.values() for values in held.values()):
        raise nothing(title, "sample")
    marks: list[Mark] = []
    for at, held in enumerate(energy.values()):
        for side, (task, samples) in zip((-1, 1), held.items(), strict=True):
            values = np.asarray(samples, dtype=float)
            marks += _half_violin(at, side, values, task) if len(values) else []
    x = Axis(ticks=dict(enumerate(energy)), limits=(-0.6, len(energy) - 0.4), grid=False)
    y = Axis(wrapped(unit, 36), limits=(-0.03, 1.03))
    return Picture(title, [Panel(marks, x, y)], (8.0, 4.6), "energy")


def _half_violin(at: int, side: int, values: np.ndarray, task: str) -> Sequence[Mark]:
    colour, median = TASK_COLOURS.get(task, MUTED), float(np.median(values))
    if len(values) >= 3 and np.ptp(values) > 1e-9:
        from scipy.stats import gaussian_kde

        y = np.linspace(values.min(), values.max(), 60)
        density = gaussian_kde(values)(y)
        x = at + side * 0.4 * density / density.max()
        outline = np.concatenate([[at], x, [at]]), np.concatenate([y[:1], y, y[-1:]])
        body = Line(*outline, task, colour, 0, opacity=0.55, filled=True, hover=())
    else:
        place = np.full(len(values), at + 0.1 * side)
        body = Line(place, values, task, colour, 0, marker="circle", hover=())
    words = f"{task}: median {median:.1%} of {len(values)} samples"
    middle = np.array([at, at + 0.2 * side])
    stroke = Line(middle, np.full(2, median), "", colour, 2.6, group=task, hover=[words] * 2)
    name = "right" if side > 0 else "left"
    return [body, stroke, Words(at + 0.22 * side, median, f"{median:.0%}", name, colour)]


def cosine_boxes(samples: Mapping[str, Mapping[str, np.ndarray]], title: str) -> Picture:
    """A box a routing in each kind of weight, whiskers within 1.5 quartile distances; a cross where
    no weight is shared.

    Args:
        samples: Kind of weight -> routing -> absolute cosines (n,).
        title: What the boxes show.
    """
    routings, marks = list(next(iter(samples.values()))), []
    for index, routing in enumerate(routings):
        shift = 0.36 * (index - (len(routings) - 1) / 2)
        colour = ROUTING_COLOURS.get(routing, MUTED)
        for at, held in enumerate(samples.values()):
            marks += _box(at + shift, held[routing], routing, colour) if len(held[routing]) else []
        none = [at + shift for at, held in enumerate(samples.values()) if not len(held[routing])]
        if none:
            words = f"{routing}: {NOTHING_SHARED}"
            style = {"marker": "x", "size": 9, "hover": [words] * len(none)}
            marks.append(Line(np.array(none), np.zeros(len(none)), words, colour, 0, **style))
    x = Axis(ticks=dict(enumerate(samples)), limits=(-0.6, len(samples) - 0.4), grid=False)
    top = np.nanmax(np.concatenate([mark.y for mark in marks])) or 1.0
    y = Axis("|cosine|", limits=(-0.02 * top, 1.08 * top))
    return Picture(title, [Panel(marks, x, y)], (8.0, 4.4), "boxes")


def _box(at: float, samples: np.ndarray, name: str, colour: str) -> Sequence[Mark]:
    """A filled box of samples (n,), its whiskers, and on its median the five numbers in words."""
    from matplotlib.cbook import boxplot_stats

    (found,) = boxplot_stats(samples)
    low, first, median, third, high = (
        float(found[end]) for end in ("whislo", "q1", "med", "q3", "whishi")
    )
    words = f"{name}: median {median:.3g}\nquartiles {first:.3g} to {third:.3g}"
    words += f"\nwhiskers {low:.3g} to {high:.3g}"
    line = lambda x, y, *style, **more: Line(np.array(x), np.array(y), *style, group=name, **more)
    left, right = at - 0.15, at + 0.15
    corners = [left, right, right, left], [first, first, third, third]
    return [
        line([at] * 5, [low, first, np.nan, third, high], "", colour, 1.4, hover=()),
        line(*corners, name, colour, 0, opacity=0.5, filled=True, hover=()),
        line([left, at, right], [median] * 3, "", INK, hover=[words] * 3),
    ]


def _limit(arrays: Sequence[np.ndarray]) -> float:
    """Half the height of a cosine axis: what the data need, a tenth at least."""
    largest = [np.abs(array[np.isfinite(array)]).max(initial=0.0) for array in arrays]
    return float(min(1.02, max(0.1, 1.15 * max(largest, default=0.0))))
