"""Training gives the numbers it gave before. If a change is meant to change them: ``python -m
tests.golden``.
"""

import json

import pytest

from .curves import CURVES, STEPS, TOLERANCE, measured


@pytest.mark.slow
@pytest.mark.parametrize("name", CURVES)
def test_the_first_steps_of_each_stage_are_the_recorded_ones(tmp_path, monkeypatch, name) -> None:
    recorded = json.loads(CURVES[name].read_text())
    found = measured(name, tmp_path, monkeypatch)
    assert found.keys() == recorded["curves"].keys()
    for stage, curves in recorded["curves"].items():
        assert found[stage].keys() == curves.keys()
        for loss, values in curves.items():
            assert len(values) == STEPS
            assert found[stage][loss] == pytest.approx(values, rel=TOLERANCE[name], abs=1e-5), (
                f"{stage} {loss} differs from what {recorded['made']['versions']} gave"
            )
