"""Training gives the numbers it gave before. If a change is meant to change them: ``python -m
tests.golden``.
"""

import json

import pytest

from .curves import CURVES, PRECISIONS, STEPS, TOLERANCE, measured_curves


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_first_steps_of_each_stage_are_the_recorded_ones(
    tmp_path, monkeypatch, precision
) -> None:
    recorded = json.loads(CURVES[precision].read_text())
    measured = measured_curves(tmp_path, monkeypatch, precision)
    assert measured.keys() == recorded["curves"].keys()
    for stage, curves in recorded["curves"].items():
        assert measured[stage].keys() == curves.keys()
        for name, values in curves.items():
            assert len(values) == STEPS
            assert measured[stage][name] == pytest.approx(
                values, rel=TOLERANCE[precision], abs=1e-5
            ), f"{stage} {name} differs from what {recorded['made']['versions']} gave"
