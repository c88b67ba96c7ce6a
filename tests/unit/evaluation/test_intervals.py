"""Bootstrap intervals: they hold the figure, narrow with n, agree with the normal theory, and
repeat.
"""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from muse_core.evaluation.generation.precision_recall import precision_recall
from muse_core.evaluation.intervals import around, half_sample_errors, interval, mean_interval
from muse_core.evaluation.reconstruction.pixel_metrics import psnr

from .small_evaluations import blurred, photographs

VALUES = np.random.default_rng(0).normal(3.0, 2.0, 400)


def test_an_interval_of_a_mean_is_the_normal_one_on_many_values() -> None:
    low, high = mean_interval(VALUES)
    expected = norm.interval(0.95, VALUES.mean(), VALUES.std(ddof=1) / math.sqrt(len(VALUES)))
    assert low < VALUES.mean() < high
    assert (low, high) == pytest.approx(expected, abs=0.03)


def test_it_holds_the_mean_of_real_decibels() -> None:
    images = photographs()
    decibels = psnr(blurred(images), images).numpy()
    low, high = mean_interval(decibels)
    assert decibels.min() <= low < decibels.mean() < high <= decibels.max()


def test_it_covers_the_truth_about_as_often_as_it_says() -> None:
    draws = np.random.default_rng(1).normal(size=(100, 60))
    held = sum(low <= 0 <= high for low, high in map(mean_interval, draws))
    assert 87 <= held <= 100


def test_four_times_the_images_halve_it() -> None:
    width = lambda ends: ends[1] - ends[0]
    assert width(mean_interval(VALUES[:100])) / width(mean_interval(VALUES)) == pytest.approx(
        2, rel=0.25
    )


def test_values_that_are_not_finite_are_left_out() -> None:
    assert mean_interval(np.append(VALUES, [np.nan, np.inf])) == mean_interval(VALUES)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, math.nan], [math.nan, math.nan]])
def test_fewer_than_two_values_have_none(values) -> None:
    assert mean_interval(np.array(values)) is None


def test_equal_values_have_an_interval_of_no_width() -> None:
    assert mean_interval(np.full(9, 0.25)) == (0.25, 0.25)


def test_a_statistic_of_indices_gives_what_the_mean_gives() -> None:
    of_indices = interval(lambda images: VALUES[images].mean(), len(VALUES), resamples=1000)
    assert of_indices == pytest.approx(mean_interval(VALUES), abs=0.05)


def test_a_statistic_of_one_image_has_none() -> None:
    assert interval(lambda images: 1.0, 1) is None


def test_about_a_value_it_is_symmetric_and_as_wide_as_the_standard_error_says() -> None:
    low, high = interval(
        lambda images: VALUES[images].mean(), len(VALUES), resamples=500, about=7.0
    )
    error = VALUES.std(ddof=1) / math.sqrt(len(VALUES))
    assert (low + high) / 2 == pytest.approx(7.0)
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.15)


def test_the_same_seed_gives_the_same_interval_whatever_happened_before() -> None:
    first = mean_interval(VALUES, seed=3)
    np.random.random(5), torch.rand(5)
    assert mean_interval(VALUES, seed=3) == first != mean_interval(VALUES, seed=4)


def test_half_samples_give_the_standard_error_of_a_mean() -> None:
    (error,) = half_sample_errors(lambda images: [VALUES[images].mean()], len(VALUES), samples=2000)
    assert error == pytest.approx(VALUES.std(ddof=1) / math.sqrt(len(VALUES)), rel=0.06)
    assert around(3.0, error) == pytest.approx((3.0 - 1.96 * error, 3.0 + 1.96 * error), abs=1e-4)


def test_half_samples_never_repeat_an_image() -> None:
    seen = []
    half_sample_errors(lambda images: [float(seen.append(images) or 0)], 11, samples=5)
    assert all(len(images) == 5 == len(set(images.tolist())) for images in seen) and len(seen) == 5


def test_half_samples_know_how_far_precision_moves_between_draws() -> None:
    draws = (
        np.random.default_rng(0).normal(size=(60, 2, 80, 3)) * np.array([1.0, 1.3])[:, None, None]
    )
    both = [[torch.from_numpy(each) for each in pair] for pair in draws]
    truth = np.std([precision_recall(*pair)[0] for pair in both])
    real, other = both[0]
    found = half_sample_errors(
        lambda images: precision_recall(real[images], other[images]), 80, seed=3
    )
    assert found[0] == pytest.approx(truth, rel=0.5)
    again = half_sample_errors(
        lambda images: precision_recall(real[images], other[images]), 80, seed=3
    )
    assert (found == again).all()


def test_questions_about_one_image_are_drawn_together() -> None:
    """Nine equal answers to an image are one observation, not nine."""
    from muse_core.evaluation.intervals import grouped_interval, mean_interval

    rng = np.random.default_rng(0)
    images = rng.random(40).round()
    values, groups = np.repeat(images, 9), np.repeat(np.arange(40), 9)
    apart, together = mean_interval(values, 0), grouped_interval(values, groups.tolist(), 0)
    assert apart is not None and together is not None
    assert together[1] - together[0] > 2.5 * (apart[1] - apart[0])
    of_images = mean_interval(images, 0)
    assert together == pytest.approx(of_images, abs=0.02)
    assert grouped_interval(np.ones(5), [0] * 5) is None
