"""The slope of a series whose slope is known, and how sure it is of it."""

import numpy as np
import pytest

from tests.torture.soak import slope

HOURS = np.linspace(0, 1, 400)


def test_a_straight_line_is_found_exactly() -> None:
    found = slope(HOURS, 500 + 12 * HOURS)
    assert found.per_hour == pytest.approx(12) and found.error == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("true", [0.0, 30.0])
def test_noise_leaves_the_truth_in_the_interval_most_times(true) -> None:
    draws = np.random.default_rng(0)
    found = [slope(HOURS, true * HOURS + draws.normal(0, 5, 400)) for _ in range(200)]
    inside = sum(abs(each.per_hour - true) <= each.error for each in found)
    assert 180 <= inside <= 200


def test_samples_that_resemble_their_neighbours_count_as_fewer() -> None:
    draws = np.random.default_rng(0)
    step = draws.normal(0, 1, 400)
    smooth = np.zeros(400)
    for index in range(1, 400):
        smooth[index] = 0.9 * smooth[index - 1] + step[index]
    shuffled = draws.permutation(smooth)
    assert slope(HOURS, smooth).error > 2 * slope(HOURS, shuffled).error
