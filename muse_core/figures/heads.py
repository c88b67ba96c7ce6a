"""One number a head, layer by layer: a line through each network's means, and a dot for every head."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import cycle

import numpy as np

from muse_core.errors import MuseError
from muse_core.figures.marks import Axis, Line, Mark, Number, Panel, Rule, extent, wrapped
from muse_core.figures.picture import Picture, nothing
from muse_core.figures.theme import INK, LOSS_COLOURS, stage_colour

READING = "line: mean over the heads · dots: single heads"
DEPTH = "share of the network's depth (1 = its last layer)"
OTHERS = tuple(
    LOSS_COLOURS[name]
    for name in ("anchor", "reconstruction", "adversarial", "perceptual", "topology")
)
"""Colours of networks that are neither a stage nor a teacher; the first differs most from the
stages' purple.
"""


def by_layer(
    values: Mapping[str, np.ndarray],
    title: str,
    unit: str,
    reference: Mapping[str, Number] | None = None,
) -> Picture:
    """Networks of equally many layers share the axis "layer"; others stand at their share of the
    depth.

    A name that begins with "stage 2", "after stage 2" or "MUSE, after stage 2" has the stage's
    colour, a teacher is dark and dashed.

    Args:
        values: Network -> (layers, heads), NaN where there is no number.
        title: What the numbers show.
        unit: Of the numbers.
        reference: Name -> a level to compare with.

    Raises:
        MuseError: There is no network, or not one number a head.
    """
    arrays = _arrays(values, title)
    layers = max(map(len, arrays.values()))
    is_alike = all(len(heads) == layers for heads in arrays.values())
    step = (1.0 if is_alike else 1 / layers) * min(0.14, 0.66 / len(arrays))
    marks: list[Mark] = []
    for at, (name, style) in enumerate(zip(arrays, _styles(arrays), strict=True)):
        heads, aside = arrays[name], step * (at - (len(arrays) - 1) / 2)
        depth = np.arange(1, len(heads) + 1) / (1 if is_alike else len(heads))
        marks += _network(name, (depth + aside).astype(np.float32), heads, *style, unit)
    levels = {
        f"{name} {level:.3g}": float(level)
        for name, level in (reference or {}).items()
        if np.isfinite(level)
    }
    low, high = extent(
        np.concatenate([*(heads.ravel() for heads in arrays.values()), list(levels.values())])
    )
    margin = 0.06 * (high - low) or 0.1
    limits = (low - margin, high + margin)
    ticks = {float(at): str(at) for at in range(1, layers + 1, -(-layers // 24))}
    x = Axis(f"layer ({READING})", limits=(0.5, layers + 0.5), ticks=ticks, grid=False)
    x = x if is_alike else Axis(f"{DEPTH}\n{READING}", grid=False)
    panel = Panel([*marks, *_rules(levels, *limits)], x, Axis(wrapped(unit, 42), limits=limits))
    rows = -(-sum(len(name) + 8 for name in arrays) // 95)
    return Picture(title, [panel], (8.5, 4.4 + 0.2 * rows), "by-layer")


def apart(places: np.ndarray, gap: float) -> np.ndarray:
    """``places`` in the same order, moved as little as can be (least squares) until ``gap`` lies
    between neighbours.
    """
    from scipy.optimize import isotonic_regression

    order, steps = np.argsort(places, kind="stable"), gap * np.arange(len(places))
    moved = np.empty(len(places))
    moved[order] = isotonic_regression(places[order] - steps).x + steps
    return moved


def _arrays(values: Mapping[str, np.ndarray], title: str) -> dict[str, np.ndarray]:
    arrays = {name: np.asarray(heads, dtype=np.float32) for name, heads in values.items()}
    if not arrays:
        raise nothing(title, "network and its values")
    for name, heads in arrays.items():
        if heads.ndim != 2 or not heads.size:
            raise MuseError(
                f"The values of {name!r} have shape {heads.shape}: give one number a head, "
                "(layers, heads)."
            )
    return arrays


def _styles(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Colour and marker of each network, no two alike among fifteen others."""
    shapes = cycle(("square", "triangle-up", "triangle-down"))
    others = zip(cycle(OTHERS), shapes, strict=False)
    teachers, taken = cycle(("diamond", "triangle-left")), set()
    for name in names:
        stage = re.match(r"(MUSE\W+)?(after )?stage (\d)", name, re.IGNORECASE)
        if "teacher" in name.lower():
            style = (INK, next(teachers))
        else:
            style = (stage_colour(int(stage[3])), "circle") if stage else next(others)
        style = next(others) if style in taken else style
        taken.add(style)
        yield style


def _network(
    name: str, x: np.ndarray, heads: np.ndarray, colour: str, marker: str, unit: str
) -> list[Mark]:
    """A dot for every head, and a line through the means over the heads that have a number."""
    layers, count = heads.shape
    held = np.isfinite(heads)
    total = np.where(held, heads, 0).sum(1)
    mean = np.where(held.any(1), total / np.maximum(held.sum(1), 1), np.nan)
    name = name if held.any() else f"{name} (not measured)"
    dots = [
        f"{name}\nlayer {layer + 1}, head {head + 1}: {heads[layer, head]:.3g} {unit}"
        for layer, head in np.ndindex(layers, count)
    ]
    means = [f"{name}\nlayer {at + 1}, mean: {value:.3g} {unit}" for at, value in enumerate(mean)]
    dash = "dash" if colour == INK else "solid"
    style = {"marker": marker, "group": name}
    return [
        Line(
            x.repeat(count), heads.ravel(), "", colour, 0, size=6, opacity=0.35, hover=dots, **style
        ),
        Line(x, mean, name, colour, 2.2, dash, size=9, hover=means, **style),
    ]


def _rules(levels: Mapping[str, float], low: float, high: float) -> Sequence[Mark]:
    """Each level with its text at a height where it does not touch another."""
    if not levels:
        return ()
    texts = [wrapped(text, 24, 60) for text in levels]
    gap = 0.065 * (high - low) * max(text.count("\n") + 1 for text in texts)
    heights = apart(np.array(list(levels.values())), gap)
    return [
        Rule(level, text, across=True, dash="dot", text_at=float(height))
        for text, level, height in zip(texts, levels.values(), heights, strict=True)
    ]
