"""What notebooks 06 and 07 compute in their cells, on planted figures and gradients: nothing is
trained, and every number is known beforehand.
"""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from muse_core.config.presets import tiny
from muse_core.evaluation.evaluate import Evaluated
from muse_core.evaluation.gradients.gradient_geometry import (
    GradientGeometry,
    Place,
    gradient_geometry,
)
from muse_core.report.study import PlannedRun, RowSpec, RunState, Study, StudySpec
from muse_core.results.measurements import Measurement, Row
from tests.notebook_cells import execute

TRUNK, LAYERS = Place("adapter, queries"), (Place("backbone", 0), Place("backbone", 1))
Q, K, V, TEXTURE = (Place(kind, 0) for kind in ("W_Q", "W_K", "W_V semantic", "W_V texture"))
STARTS = [0, 400, 700]
TOGETHER = -1.8 / 10**0.5
"""Cosine over the block: semantics also has energy 1 on W_Q, where pixels have none."""


def planted(gradients: dict[str, dict[Place, list[float]]]) -> GradientGeometry:
    """Of three tasks with these gradients; a place that a task leaves out hears nothing of it."""
    where = (Q, K, V, TEXTURE, TRUNK, *LAYERS)
    at = {place: nn.Parameter(torch.zeros(2).double()) for place in where}
    losses = {
        task: torch.stack([(at[p] * torch.tensor(v)).sum() for p, v in held.items()]).sum()
        for task, held in gradients.items()
    }
    return gradient_geometry(losses, {place: [weight] for place, weight in at.items()})


def orthogonal(open_trunk: bool) -> GradientGeometry:
    """Each task on its own weights; in the open trunk pixels and semantics oppose each other in one
    layer.
    """
    own = {"pixels": {TEXTURE: [1.0, 0.0], TRUNK: [1.0, 0.0]}}
    own |= {"semantics": {V: [1.0, 0.0]}, "topology": {Q: [1.0, 0.0]}}
    if open_trunk:
        own["pixels"] |= {LAYERS[0]: [1.0, 0.0], LAYERS[1]: [1.0, 1.0]}
        own["semantics"] |= {LAYERS[0]: [-1.0, 0.0], LAYERS[1]: [1.0, 1.0]}
    return planted(own)


def shared() -> GradientGeometry:
    """Pixels and semantics at a cosine of -0.6 on one W_V; semantics 90 % there, topology 80 % on
    W_Q.
    """
    everywhere = {TRUNK: [1.0, 0.0], LAYERS[0]: [1.0, 0.0], LAYERS[1]: [1.0, 0.0]}
    return planted(
        {
            "pixels": {V: [1.0, 0.0], **everywhere},
            "semantics": {Q: [0.0, 1.0], V: [-1.8, 2.4], **everywhere},
            "topology": {Q: [2.0, 0.0], V: [1.0, 0.0], **everywhere},
        }
    )


def recorded(stages: list[GradientGeometry]) -> GradientGeometry:
    """Two measurements a stage."""
    steps = np.array([start + step for start in STARTS for step in (0, 10)])
    gram, conflict = (
        np.stack([getattr(stage, name) for stage in stages for _ in range(2)])
        for name in ("gram", "conflict")
    )
    return GradientGeometry(stages[0].losses, stages[0].places, gram, conflict, steps)


@pytest.fixture
def gradients() -> dict[str, Any]:
    """The names of notebook 06 before its first picture."""
    full = [orthogonal(open_trunk) for open_trunk in (False, False, True)]
    return {
        "recorded": {"full": [recorded(full)] * 2, "shared": [recorded([shared()] * 3)] * 2},
        "runs": {"full": [], "shared": []},
        "names": {"shared": "shared", "full": "orthogonal"},
        "stages": tiny().curriculum.stages,
        "starts": STARTS,
        "np": np,
        "say": lambda words: None,
    }


def in_06(cells: list[str], names: dict[str, Any]) -> dict[str, Any]:
    given = "from muse_core.evaluation.gradients.gradient_geometry import in_blocks"
    exec(given, names)
    return execute("06_gradient_orthogonality.ipynb", cells, names)


def test_cosines_along_training(gradients: dict[str, Any]) -> None:
    panels = in_06(["cosine-along", "cosine-curves"], gradients)["panels"]["pixels and semantics"]
    assert panels["shared"].values.shape == (2, 6)
    assert np.allclose(panels["shared"].values, TOGETHER)
    assert np.isnan(panels["orthogonal"].values).all()


def test_energy_and_boxes(gradients: dict[str, Any]) -> None:
    found = in_06(["projections", "violins", "boxes"], gradients)
    assert found["medians"]["semantics"]["W_V"] == pytest.approx(0.9)
    assert found["medians"]["topology"]["W_Q"] == pytest.approx(0.8)
    assert np.allclose(found["samples"]["W_V semantic"]["shared"], 0.6)
    assert len(found["samples"]["W_V semantic"]["orthogonal"]) == 0


def test_the_routing_table_is_intended_beside_measured(gradients: dict[str, Any]) -> None:
    from muse_core.models.gradient_routes import WeightGroup
    from muse_core.training.gradient_surgery import TASKS

    tables = in_06(["arrivals"], gradients)["tables"]

    def cell(stage: str, task: str, group: WeightGroup) -> tuple[bool, float]:
        at = list(TASKS).index(task), list(WeightGroup).index(group)
        return tuple(table[at].item() for table in tables[stage])

    warm, tuned = "02_semantic_injection", "03_synergistic_tuning"
    assert cell(warm, "pixels", WeightGroup.TEXTURE) == (True, pytest.approx(0.5))
    assert cell(warm, "semantics", WeightGroup.TEXTURE) == (False, 0.0)
    assert cell(warm, "semantics", WeightGroup.TRUNK) == (False, 0.0)
    assert cell(tuned, "semantics", WeightGroup.BACKBONE) == (True, pytest.approx(0.75))
    assert not any(measured[~intended].any() for intended, measured in tables.values())


def test_the_trunk_layer_by_layer(gradients: dict[str, Any]) -> None:
    found = in_06(["cosine-along", "trunk-cosines"], gradients)
    assert list(found["layers"]) == ["layer 0", "layer 1", "adapter, queries"]
    mean, low, high = found["layer_by_layer"]("full", "pixels", "semantics")
    assert mean[:2] == pytest.approx([-1.0, 1.0]) and np.isnan(mean[2])
    assert np.allclose(low[:2], mean[:2]) and np.allclose(high[:2], mean[:2])
    assert found["left"]["full"] == pytest.approx(1 / (2 * 3**0.5))


def figures(psnr: np.ndarray, confusion: torch.Tensor | None = None) -> Evaluated:
    n = len(psnr)
    row = {"psnr": Measurement(psnr.mean(), n), "fd_judge": Measurement(2.0, n)}
    row |= {"lpips": Measurement.missing("no network")}
    tensors = {"per_image/psnr": torch.tensor(psnr)}
    if confusion is not None:
        row, tensors = row | {"miou": Measurement(0.5, n)}, tensors | {"confusion": confusion}
    return Evaluated(Row("r", "", row), tensors)


def study(first: list[Evaluated], other: list[Evaluated]) -> dict[str, Any]:
    """Notebook 07 up to its table, of a first row, another, and one that failed."""
    rows = {"full": first, "shared": other, "lost": []}
    runs = {
        row: [PlannedRun(row, seed, f"{row}.{seed}", {}) for seed in range(len(found))]
        for row, found in rows.items()
    }
    failed = RunState(PlannedRun("lost", 0, "lost.0", {}), "failed", error="the loss is nan")
    spec = StudySpec(
        name="planted",
        seeds=[0, 1],
        rows={
            "full": RowSpec(words="MUSE"),
            "shared": RowSpec(words="b", expects={"psnr": "lower"}),
            "lost": RowSpec(words="c", expects={"psnr": "lower"}),
        },
    )
    names: dict[str, Any] = {
        "runs": runs,
        "states": [*(RunState(run, "done") for found in runs.values() for run in found), failed],
        "chosen": Study(spec, Path(), {}, Path()),
        "lab": SimpleNamespace(device="cpu"),
        "row_of": lambda _, run: rows[run.row][run.seed],
        "learned": lambda *sentences: names.__setitem__("said", sentences),
    }
    cells = ["measured", "cells", "study-table", "learn"]
    return execute("07_ablations.ipynb", cells, names)


IMAGES = np.arange(20.0)


def test_rows_are_compared_with_the_first_one_seed_by_seed() -> None:
    found = study([figures(IMAGES), figures(IMAGES + 1)], [figures(IMAGES - 1), figures(IMAGES)])
    full, other, lost = found["record"].rows
    assert full.cells["psnr"].by_seed == [9.5, 10.5] and full.cells["psnr"].difference is None
    cell = other.cells["psnr"]
    assert cell.difference == -1.0 and cell.direction == "lower"
    ends = cell.difference_low, cell.difference_high
    assert ends == pytest.approx((-1, -1)), "what all images share is not uncertain"
    assert cell.low < 9.0 < cell.high and "lpips" not in other.cells
    assert other.cells["fd_judge"].difference == 0 and other.cells["fd_judge"].low is None
    assert (other.outcome, lost.outcome) == ("reproduced", "failed")
    assert lost.failures == ["seed 0: the loss is nan"]
    assert found["said"][:2] == (
        "As the paper says (1 of the paper's 2 statements, 2 seeds: a hint): shared.",
        "Not trained (1 of the paper's 2 statements, 2 seeds: a hint): lost.",
    )
    assert "PSNR −1.00 dB" in found["said"][2]


def test_only_seeds_that_both_rows_have_are_compared() -> None:
    rows = study([figures(IMAGES)], [figures(IMAGES), figures(IMAGES)])["record"].rows
    assert len(rows[1].cells["psnr"].differences_by_seed) == 1


def test_from_three_seeds_on_the_interval_is_over_seeds() -> None:
    others = [figures(IMAGES + change) for change in (-1.0, -2.0, -3.0)]
    cell = study([figures(IMAGES)] * 3, others)["record"].rows[1].cells["psnr"]
    half = 4.303 / 3**0.5  # t of two degrees of freedom, standard deviation 1
    assert cell.difference == -2.0
    assert cell.difference_low == pytest.approx(-2 - half, abs=1e-3)
    assert cell.difference_high == pytest.approx(-2 + half, abs=1e-3)
    assert cell.p == pytest.approx(0.0742, abs=1e-4) and cell.direction == "same"


def test_miou_is_resampled_from_its_confusion() -> None:
    confusion = torch.zeros(20, 2, 2, dtype=torch.long)
    confusion[:10, 0, 0], confusion[10:, 0, 1], confusion[:, 1, 1] = 1, 1, 1
    cell = study([figures(IMAGES, confusion)], [])["record"].rows[0].cells["miou"]
    assert cell.value == 0.5 and cell.low < 7 / 12 < cell.high
