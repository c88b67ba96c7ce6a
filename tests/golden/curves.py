"""The first steps of each micro stage, at a tenth of its learning rate.

Adam's first steps follow the sign of each gradient, so at the full rate a rounding error of 1e-7
(another kernel, another number of threads) has grown to 1e-3 after ten steps; at a tenth of it the
curves stay comparable between machines."""

from dataclasses import replace
from pathlib import Path

import pytest

CURVES = Path(__file__).with_name("curves.json")
STEPS = 5


def measured_curves(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, dict[str, list[float]]]:
    """Stage -> loss -> its first values, trained now in an empty workspace."""
    from muse_core.config import presets
    from muse_core.config.stage import Curriculum
    from muse_core.training.loop import train_stage

    from ..integration.conftest import enter
    from ..integration.micro import STAGES, micro_preset, micro_run, write_foundations

    folder = write_foundations(root / "data" / "foundations" / "micro")
    enter(root, monkeypatch)
    preset = micro_preset(folder)
    calm = [replace(stage, learning_rate=stage.learning_rate / 10) for stage in preset.curriculum]
    monkeypatch.setitem(
        presets.PRESETS, "micro", lambda: replace(preset, curriculum=Curriculum(tuple(calm)))
    )
    curves = {}
    for stage in STAGES:
        rows = train_stage(micro_run(stage, "golden")).rows[:STEPS]
        curves[stage] = {
            name: [row[name] for row in rows] for name in rows[0] if name.startswith("loss/")
        }
    return curves
