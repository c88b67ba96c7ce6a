"""The first steps of each micro stage and of each system of Table 1, at a tenth of the learning
rate.

Adam's first steps follow the sign of each gradient, so at the full rate a rounding error of 1e-7
(another kernel, another number of threads) has grown to 1e-3 after ten steps; at a tenth of it the
curves stay comparable between machines."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

TOLERANCE = {"fp32": 1e-3, "bf16": 2e-2, "systems": 1e-3}
"""Relative: kernels and numbers of threads differ between machines."""
CURVES = {name: Path(__file__).with_name(f"curves_{name}.json") for name in TOLERANCE}
"""MUSE's stages in both precisions, and the systems in float32."""
STEPS = 5

Curves = dict[str, dict[str, list[float]]]
"""Stage -> loss -> its first values."""


def measured(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> Curves:
    """The curves of this name, trained now in an empty workspace."""
    if name == "systems":
        return measured_systems(root, monkeypatch)
    return measured_curves(root, monkeypatch, name)


def measured_curves(root: Path, monkeypatch: pytest.MonkeyPatch, precision: str) -> Curves:
    """Of the three stages."""
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
        curves[stage] = losses(train_stage(micro_run(stage, "golden", overrides=calm)).rows)
    return curves


def measured_systems(root: Path, monkeypatch: pytest.MonkeyPatch) -> Curves:
    """Of all systems' stages."""
    from muse_core.baselines.systems import SYSTEMS
    from muse_core.training.system_run import SystemRun

    from ..integration.conftest import enter
    from ..integration.micro import PRESET, micro_preset
    from ..integration.systems import furnish

    *_, last = micro_preset(furnish(root)).curriculum
    enter(root, monkeypatch)
    curves = {}
    for system in SYSTEMS:
        run = SystemRun(
            run=system,
            preset=PRESET,
            system=system,
            device="cpu",
            overrides="precision=fp32",
            learning_rate=last.learning_rate / 10,
        )
        opened = run.open()
        for stage in opened.curriculum:
            short = replace(stage, steps=STEPS, checkpoint_every=STEPS)
            curves[f"{system} {stage.name}"] = losses(opened.trainer(short).fit().rows)
    return curves


def losses(rows: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """Loss -> its first values."""
    names = [name for name in rows[0] if name.startswith("loss/")]
    return {name: [row[name] for row in rows[:STEPS]] for name in names}
