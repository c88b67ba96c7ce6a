"""Gradient geometry on disk, and cosines over several places taken together."""

from math import sqrt
from pathlib import Path

import pytest
import torch
from torch import nn

from muse_core.evaluation.gradients.geometry_records import (
    GeometryAtStep,
    from_row,
    in_blocks,
    joint_cosine,
    mean_cosine,
    read_geometry,
    to_row,
)
from muse_core.evaluation.gradients.gradient_geometry import (
    GradientGeometry,
    Place,
    gradient_geometry,
)
from muse_core.results.records import append_jsonl

Q, V, TRUNK = Place("W_Q", 0), Place("W_V semantic", 3), Place("adapter, queries")
PAIR = ("a", "b")


def planted(a: dict[Place, list[float]], b: dict[Place, list[float]]) -> GradientGeometry:
    """Geometry of two losses with these gradients."""
    weights = {at: nn.Parameter(torch.zeros(len(values)).double()) for at, values in a.items()}
    loss = lambda slopes: torch.stack(
        [(weights[at] * torch.tensor(v).double()).sum() for at, v in slopes.items()]
    ).sum()
    return gradient_geometry(
        {"a": loss(a), "b": loss(b)}, {at: [weight] for at, weight in weights.items()}
    )


def test_a_measurement_survives_the_disk(tmp_path: Path) -> None:
    found = GeometryAtStep(
        7, planted({Q: [1.0, 2.0], TRUNK: [3.0]}, {Q: [0.0, 0.0], TRUNK: [-4.0]})
    )
    append_jsonl(tmp_path / "g.jsonl", [to_row(found)])
    assert (
        read_geometry(tmp_path / "g.jsonl") == [found]
        and read_geometry(tmp_path / "none.jsonl") == []
    )
    assert to_row(found)["energy"]["b"]["W_Q/0"] == 0.0


def test_digits_are_cut_but_zero_stays_zero() -> None:
    back = from_row(to_row(GeometryAtStep(0, planted({Q: [1 / 3]}, {Q: [0.0]}))))
    assert back.geometry.energy["a"][Q] == 0.111111 and back.geometry.energy["b"][Q] == 0.0


def test_the_joint_cosine_is_that_of_the_joined_vectors() -> None:
    a, b = {Q: [1.0, 2.0], V: [3.0]}, {Q: [2.0, -1.0], V: [5.0]}
    assert joint_cosine(planted(a, b), PAIR) == pytest.approx(15 / (sqrt(14) * sqrt(30)))


def test_only_the_chosen_places_count() -> None:
    found = planted({Q: [1.0], TRUNK: [1.0]}, {Q: [1.0], TRUNK: [-1.0]})
    assert joint_cosine(found, PAIR) == pytest.approx(1.0)
    assert joint_cosine(found, PAIR, lambda at: not in_blocks(at)) == pytest.approx(-1.0)


def test_without_a_weight_in_common_there_is_no_cosine_and_the_mean_counts_it_as_nought() -> None:
    apart = planted({Q: [1.0], V: [0.0]}, {Q: [0.0], V: [1.0]})
    alike = planted({Q: [1.0], V: [0.0]}, {Q: [1.0], V: [0.0]})
    assert joint_cosine(apart, PAIR) is None
    assert mean_cosine([GeometryAtStep(0, apart), GeometryAtStep(1, alike)], PAIR) == pytest.approx(
        0.5
    )
    assert mean_cosine([], PAIR) is None
