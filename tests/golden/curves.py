"""The first steps of each micro stage, at a tenth of its learning rate.

Adam's first steps follow the sign of each gradient, so at the full rate a rounding error of 1e-7
(another kernel, another number of threads) has grown to 1e-3 after ten steps; at a tenth of it the
curves stay comparable between machines."""

from pathlib import Path

import pytest

PRECISIONS = ("fp32", "bf16")
CURVES = {name: Path(__file__).with_name(f"curves_{name}.json") for name in PRECISIONS}
TOLERANCE = {"fp32": 1e-3, "bf16": 2e-2}
"""Relative: kernels and numbers of threads differ between machines."""
STEPS = 5


def measured_curves(
    root: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> dict[str, dict[str, list[float]]]:
    """Stage -> loss -> its first values, trained now in an empty workspace."""
    from muse_core.training.stage_run import train_stage

    from ..integration.conftest import enter
    from ..integration.micro import STAGES, micro_preset, micro_run, write_foundations

    folder = write_foundations(root / "data" / "foundations" / "micro")
    enter(root, monkeypatch)
    # A processor without bf16 imitates it: slowly, and with the same numbers.
    monkeypatch.setattr("muse_core.training.distributed.has_bf16", lambda device: True)
    rates = {stage.name: stage.learning_rate for stage in micro_preset(folder).curriculum}
    curves = {}
    for stage in STAGES:
        calm = f"stage.learning_rate={rates[stage] / 10} precision={precision}"
        rows = train_stage(micro_run(stage, "golden", overrides=calm)).rows[:STEPS]
        curves[stage] = {
            name: [row[name] for row in rows] for name in rows[0] if name.startswith("loss/")
        }
    return curves
