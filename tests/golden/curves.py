"""The first steps of each micro stage."""

from pathlib import Path

import pytest

CURVES = Path(__file__).with_name("curves.json")
STEPS = 5


def measured_curves(root: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, list[float]]]:
    """Stage -> loss -> its first values, trained now in an empty workspace."""
    from muse_core.training.loop import train_stage

    from ..integration.conftest import enter
    from ..integration.micro import STAGES, micro_run, write_foundations

    write_foundations(root / "data" / "foundations" / "micro")
    enter(root, monkeypatch)
    curves = {}
    for stage in STAGES:
        rows = train_stage(micro_run(stage, "golden")).rows[:STEPS]
        curves[stage] = {name: [row[name] for row in rows] for name in rows[0] if name.startswith("loss/")}
    return curves
