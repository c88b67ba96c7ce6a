"""Differences over paired seeds against scipy, and what they refuse."""

import numpy as np
import pytest
from scipy.stats import ttest_rel

from muse_core.errors import MuseError
from muse_core.evaluation.paired_seeds import paired_difference

NEW, OLD = [0.53, 0.50, 0.55, 0.51, 0.56], [0.50, 0.49, 0.51, 0.50, 0.52]


def test_interval_and_p_are_scipys() -> None:
    found, expected = paired_difference(NEW, OLD), ttest_rel(NEW, OLD)
    ends = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high))
    assert found.p == pytest.approx(expected.pvalue) and found.n == 5
    assert found.mean == pytest.approx(np.mean(NEW) - np.mean(OLD))


def test_p_is_of_the_margin() -> None:
    assert paired_difference(NEW, OLD, margin=0.026).p == pytest.approx(1.0)
    shifted = [value - 0.01 for value in NEW]
    assert paired_difference(NEW, OLD, 0.01).p == pytest.approx(paired_difference(shifted, OLD).p)


def test_what_would_be_seen_is_seen_four_times_out_of_five() -> None:
    rng = np.random.default_rng(0)
    error = 0.01
    found = lambda size: paired_difference(rng.normal(size, error, 10).tolist(), [0.0] * 10)
    size = float(np.mean([found(0).detectable for _ in range(400)]))
    seen = [found(size).low > 0 for _ in range(2000)]
    assert np.mean(seen) == pytest.approx(0.8, abs=0.05)


def test_equal_differences_have_no_spread() -> None:
    assert paired_difference([1.0, 2.0, 3.0], [0.5, 1.5, 2.5]).p == 1.0
    assert paired_difference([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]).p == 1.0
    decimals = paired_difference([0.741, 0.752, 0.763], [0.744, 0.755, 0.766])
    assert decimals.p == 1.0 and decimals.detectable == 0.0


@pytest.mark.parametrize(("new", "old"), [([1.0, 2.0], [1.0, 2.0]), ([1.0, 2.0, 3.0], [1.0, 2.0])])
def test_too_few_seeds_are_a_sentence(new, old) -> None:
    with pytest.raises(MuseError, match="run more seeds"):
        paired_difference(new, old)
