"""Gradient geometry on disk: one line a measurement, and what is read from many of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

from muse_core.errors import MuseError
from muse_core.evaluation.gradients.gradient_geometry import (
    KINDS,
    GradientGeometry,
    PairGeometry,
    Place,
)
from muse_core.results.records import read_jsonl

DIGITS = 6
"""Significant digits on disk; 0.0 stays exactly zero."""


@dataclass(frozen=True)
class GeometryAtStep:
    """A measurement, and the number of steps that were done before it."""

    step: int
    geometry: GradientGeometry


def to_row(measured: GeometryAtStep) -> dict[str, Any]:
    """``{"step", "energy": {loss: {place: energy}}, "pairs": {"a|b": {place: [cosine,
    conflict]}}}``.
    """
    found = measured.geometry
    return {
        "step": measured.step,
        "energy": {
            loss: {_key(at): _short(e) for at, e in held.items()}
            for loss, held in found.energy.items()
        },
        "pairs": {
            "|".join(pair): {
                _key(at): [_short(each.cosine), _short(each.conflict)] for at, each in held.items()
            }
            for pair, held in found.pairs.items()
        },
    }


def from_row(row: dict[str, Any]) -> GeometryAtStep:
    """The inverse of `to_row`, up to rounding."""
    energy = {
        loss: {_place(key): e for key, e in held.items()} for loss, held in row["energy"].items()
    }
    pairs = {
        tuple(pair.split("|")): {_place(key): PairGeometry(*both) for key, both in held.items()}
        for pair, held in row["pairs"].items()
    }
    return GeometryAtStep(row["step"], GradientGeometry(energy, pairs))


def read_geometry(file: Path) -> list[GeometryAtStep]:
    """All measurements in a file; none where there is no file. Raises MuseError for rows that are
    something else.
    """
    try:
        return [from_row(row) for row in read_jsonl(file)]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MuseError(
            f"{file} holds no measured gradients: delete it and train its run again."
        ) from error


def in_blocks(place: Place) -> bool:
    """Whether a place lies in the synergistic blocks, and not in the trunk, the heads or the
    backbone.
    """
    return place.kind in KINDS


def joint_cosine(
    found: GradientGeometry, pair: tuple[str, str], where: Callable[[Place], bool] = in_blocks
) -> float | None:
    """Cosine of two losses over several places taken together; None where no weight there hears
    both.
    """
    chosen = [at for at in found.pairs[pair] if where(at)]
    if all(found.pairs[pair][at].cosine is None for at in chosen):
        return None
    a, b = ({at: found.energy[loss][at] for at in chosen} for loss in pair)
    norms = sqrt(sum(a.values(), 0.0)) * sqrt(sum(b.values(), 0.0))
    return sum((_dot(found.pairs[pair][at].cosine, a[at], b[at]) for at in chosen), 0.0) / norms


def mean_cosine(rows: Sequence[GeometryAtStep], pair: tuple[str, str]) -> float | None:
    """Mean over measurements of the joint cosine in the blocks; one without a weight in common
    counts as 0. None for no rows.
    """
    found = [joint_cosine(row.geometry, pair) or 0.0 for row in rows]
    return sum(found) / len(found) if found else None


def _dot(cosine: float | None, a: float, b: float) -> float:
    return 0.0 if cosine is None else cosine * sqrt(a * b)


def _key(at: Place) -> str:
    return at.kind if at.block < 0 else f"{at.kind}/{at.block}"


def _place(key: str) -> Place:
    kind, _, block = key.rpartition("/")
    return Place(kind, int(block)) if kind and block.isdigit() else Place(key)


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")
