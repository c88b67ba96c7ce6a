"""A finished study of two rows and two seeds, planted on disk: figures and gradients are known,
nothing was trained.
"""

import shutil
from pathlib import Path

import torch
from torch import nn

from muse_core.config.parameters import StudyParameters
from muse_core.evaluation.evaluate import Evaluated, to_stored
from muse_core.evaluation.gradients.geometry_records import GeometryAtStep, to_row
from muse_core.evaluation.gradients.gradient_geometry import (
    GradientGeometry,
    Place,
    gradient_geometry,
)
from muse_core.report.study import study_named
from muse_core.report.study_results import StudyResults
from muse_core.report.study_run import RECORDER, geometry_file, row_file
from muse_core.report.study_runner import RunState
from muse_core.results.measurements import Measurement, Row
from muse_core.results.records import append_jsonl, write_json
from muse_core.results.tensor_files import write_stored

NOTEBOOK = Path(__file__).resolve().parents[3] / "notebooks" / "studies" / "one_run.ipynb"
STUDY = """
name: planted
notebook: notebooks/one_run.ipynb
common: {preset: tiny, share: 1.0}
seeds: [0, 1]
rows:
  full: {words: MUSE}
  shared: {words: nothing routed, change: {routing: shared}, paper: all drop, expects: {psnr: lower, gradient_cosine: below -0.1}}
  lost: {words: never finished, paper: drops, expects: {psnr: lower}}
"""
STEPS = (0, 10, 20)
ADAPTER, LAYERS = Place("adapter, queries"), (Place("backbone", 0), Place("backbone", 1))
APART = {
    "pixels": ("W_V texture", 1.0),
    "semantics": ("W_V semantic", 1.0),
    "topology": ("W_Q", 1.0),
}


def geometry(gradients: dict[str, dict[Place, list[float]]]) -> GradientGeometry:
    """Of three tasks with these gradients; a place that a task leaves out hears nothing of it."""
    at = {
        place: nn.Parameter(torch.zeros(2).double())
        for held in gradients.values()
        for place in held
    }
    loss = lambda held: torch.stack(
        [(at[p] * torch.tensor(v).double()).sum() for p, v in held.items()]
    ).sum()
    return gradient_geometry(
        {task: loss(held) for task, held in gradients.items()}, {p: [w] for p, w in at.items()}
    )


def orthogonal(open_trunk: bool) -> GradientGeometry:
    """Each task on its own weights of one block; in the trunk pixels and semantics oppose each
    other in one layer.
    """
    own = {task: {Place(kind, 0): [size, 0.0]} for task, (kind, size) in APART.items()}
    own["pixels"] |= {ADAPTER: [1.0, 0.0]}
    if open_trunk:
        own["pixels"] |= {LAYERS[0]: [1.0, 0.0], LAYERS[1]: [1.0, 1.0]}
        own["semantics"] |= {LAYERS[0]: [-1.0, 0.0], LAYERS[1]: [1.0, 1.0]}
    return geometry(own)


def shared() -> GradientGeometry:
    """Pixels and semantics at a cosine of -0.6 on one W_V; semantics 90 % there, topology 80 % on
    W_Q.
    """
    q, k, v = (Place(kind, 0) for kind in ("W_Q", "W_K", "W_V semantic"))
    pixels = {
        q: [0.0, 0.0],
        k: [0.0, 0.0],
        v: [1.0, 0.0],
        LAYERS[0]: [1.0, 0.0],
        LAYERS[1]: [1.0, 0.0],
        ADAPTER: [1.0, 0.0],
    }
    semantics = {q: [0.0, 1.0], k: [0.0, 0.0], v: [-1.8, 2.4]}
    topology = {q: [2.0, 0.0], k: [0.0, 0.0], v: [1.0, 0.0]}
    return geometry({"pixels": pixels, "semantics": semantics, "topology": topology})


def evaluated(run: str, decibels: float) -> Evaluated:
    return Evaluated(
        Row(run, "", {"psnr": Measurement(decibels, 20)}),
        {"per_image/psnr": torch.full((20,), decibels)},
    )


def planted_results(workspace: Path) -> StudyResults:
    """The study with rows full (25 dB) and shared (24 dB) done, and one row whose runs failed."""
    shutil.copy(NOTEBOOK, workspace / "notebooks")
    (workspace / "studies").mkdir()
    (workspace / "studies" / "planted.yaml").write_text(STUDY)
    study = study_named("planted")
    checked = StudyParameters.check(run="smoke", study="planted", jobs=1, device="cpu")
    results = StudyResults(checked, study, [])
    for planned in study.runs:
        if planned.row == "lost":
            results.states.append(RunState(planned, "failed", error="the loss is nan"))
            continue
        results.states.append(RunState(planned, "done", 60.0, "abc"))
        write_stored(
            row_file(planned.run),
            to_stored(evaluated(planned.run, 25.0 if planned.row == "full" else 24.0)),
        )
        for stage in results.stages(planned):
            found = (
                shared()
                if planned.row == "shared"
                else orthogonal(stage.load_stage().trains_backbone)
            )
            append_jsonl(
                geometry_file(planned.run, stage.stage),
                [to_row(GeometryAtStep(s, found)) for s in STEPS],
            )
            write_json(stage.record_file, {"seconds": 50.0, "observers": {RECORDER: 2.5}})
    return results
