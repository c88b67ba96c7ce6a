"""One number a head, layer by layer: a line through each network's means, and a dot for
every head.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np

from muse_core.figures.marks import Axis, Line, Mark, Number, Panel, Rule, extent, wrapped
from muse_core.figures.picture import Picture
from muse_core.figures.theme import INK, LOSS_COLOURS, MUTED, STAGE_COLOURS

OTHERS = [LOSS_COLOURS[name] for name in ("anchor", "reconstruction", "adversarial", "topology")]
"""Colours of networks that are neither a stage nor a teacher; the first differs most from the
stages' purple.
"""


def by_layer(
    values: Mapping[str, np.ndarray],
    title: str,
    unit: str,
    reference: Mapping[str, Number] | None = None,
) -> Picture:
    """A line a network over its layers, through the means over its heads; each head is a dot.

    A name that begins with "stage 2", "after stage 2" or "MUSE, after stage 2" has the stage's
    colour, a teacher is dark and dashed.

    Args:
        values: Network -> (layers, heads), NaN where there is no number.
        title: What the numbers show.
        unit: Of the numbers.
        reference: Name -> a level to compare with.
    """
    arrays = {name: np.asarray(heads, dtype=np.float32) for name, heads in values.items()}
    layers, step = max(map(len, arrays.values())), min(0.08, 0.4 / len(arrays))
    marks: list[Mark] = []
    for at, (name, style) in enumerate(zip(arrays, _styles(arrays), strict=True)):
        heads, aside = arrays[name], step * (at - (len(arrays) - 1) / 2)
        x = np.arange(1, len(heads) + 1, dtype=np.float32) + np.float32(aside)
        marks += _network(name, x, heads, *style, unit)
    levels = {name: level for name, level in (reference or {}).items() if np.isfinite(level)}
    for name, level in levels.items():
        text = wrapped(f"{name} {level:.3g}", 24, 60)
        marks.append(Rule(float(level), text, across=True, dash="dot"))
    numbers = [*(heads.ravel() for heads in arrays.values()), list(levels.values())]
    low, high = extent(np.concatenate(numbers))
    margin = 0.06 * (high - low) or 0.1
    limits = (low - margin, high + margin)
    ticks = {float(at): str(at) for at in range(1, layers + 1, -(-layers // 24))}
    x = Axis("layer", limits=(0.5, layers + 0.5), ticks=ticks, grid=False)
    panel = Panel(marks, x, Axis(wrapped(unit, 42), limits=limits))
    rows = -(-sum(len(name) + 8 for name in arrays) // 95)
    return Picture(title, [panel], (8.5, 4.4 + 0.2 * rows), "by-layer")


def _styles(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Colour and marker of each network, no two alike among twelve others."""
    shapes = ("square", "triangle-up", "triangle-down")
    others = zip(cycle(OTHERS), cycle(shapes), strict=False)
    teachers, taken = cycle(("diamond", "triangle-left")), set()
    for name in names:
        stage = re.match(r"(MUSE\W+)?(after )?stage (\d)", name, re.IGNORECASE)
        if "teacher" in name.lower():
            style = (INK, next(teachers))
        else:
            style = (STAGE_COLOURS.get(int(stage[3]), MUTED), "circle") if stage else next(others)
        style = next(others) if style in taken else style
        taken.add(style)
        yield style


def _network(
    name: str, x: np.ndarray, heads: np.ndarray, colour: str, marker: str, unit: str
) -> Sequence[Mark]:
    """A dot for every head, and a line through the means over the heads that have a number."""
    layers, count = heads.shape
    mean = np.ma.masked_invalid(heads.astype(float)).mean(1).filled(np.nan)
    name = name if np.isfinite(mean).any() else f"{name} (not measured)"
    words = f"{name}\nlayer {{}}, {{}}: {{:.3g}} {unit}".format
    dots = [words(at + 1, f"head {k + 1}", heads[at, k]) for at, k in np.ndindex(layers, count)]
    means = [words(at, "mean", value) for at, value in enumerate(mean, 1)]
    style: dict[str, Any] = {"marker": marker, "group": name}
    faint = {"size": 6, "opacity": 0.35, "hover": dots}
    dash = "dash" if colour == INK else "solid"
    return [
        Line(x.repeat(count), heads.ravel(), "", colour, 0, **faint, **style),
        Line(x, mean, name, colour, 2.2, dash, size=9, hover=means, **style),
    ]
