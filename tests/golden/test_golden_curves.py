"""Training gives the numbers it gave before. If a change is meant to change them: ``python -m
tests.golden``.
"""

import json

import pytest

from .curves import CURVES, STEPS, measured_curves


@pytest.mark.slow
def test_the_first_steps_of_each_stage_are_the_recorded_ones(tmp_path, monkeypatch) -> None:
    recorded = json.loads(CURVES.read_text())
    measured = measured_curves(tmp_path, monkeypatch)
    assert measured.keys() == recorded["curves"].keys()
    for stage, curves in recorded["curves"].items():
        assert measured[stage].keys() == curves.keys()
        for name, values in curves.items():
            assert len(values) == STEPS
            assert measured[stage][name] == pytest.approx(values, rel=1e-3, abs=1e-5), (
                f"{stage} {name} differs from what {recorded['made']['versions']} gave"
            )
