"""Bootstrap 95 % intervals over images: how much a figure would move had other images been drawn.

They say nothing about another training seed; a table that compares two trainings says so beside it.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import bootstrap, norm

CONFIDENCE = 0.95
RESAMPLES = 1000

Statistic = Callable[[np.ndarray], float]
"""Indices of images -> the figure measured on them."""


def mean_interval(values: np.ndarray, seed: int = 0) -> tuple[float, float] | None:
    """Interval of the mean of one value an image; None for fewer than two finite values."""
    held = values[np.isfinite(values)].astype(np.float64)
    return interval(lambda images: held[images].mean(), len(held), seed, RESAMPLES)


def grouped_interval(
    values: np.ndarray, groups: Sequence[int], seed: int = 0
) -> tuple[float, float] | None:
    """Interval of the mean of values that come in groups, several questions about an image for
    example: whole groups are drawn. None for fewer than two groups.
    """
    _, places = np.unique(np.asarray(groups), return_inverse=True)
    sums, counts = np.bincount(places, values), np.bincount(places)
    return interval(
        lambda drawn: sums[drawn].sum() / counts[drawn].sum(), len(sums), seed, RESAMPLES
    )


def interval(
    statistic: Statistic, n: int, seed: int = 0, resamples: int = 200, about: float | None = None
) -> tuple[float, float] | None:
    """Interval of any figure of ``n`` images, by resampling their indices; None for fewer than two
    images, and where some resample has no figure.

    ``about``: the measured value, for figures that resampling biases (a Fréchet distance grows when
    images repeat); the interval is then the normal one, value +- 1.96 bootstrap standard errors.
    """
    if n < 2:
        return None
    found = bootstrap(
        (np.arange(n),),
        statistic,
        n_resamples=resamples,
        confidence_level=CONFIDENCE,
        method="percentile",
        vectorized=False,
        batch=100,
        rng=np.random.default_rng(seed),
    )
    ends = found.confidence_interval
    low, high, error = float(ends.low), float(ends.high), float(found.standard_error)
    if not np.isfinite([low, high, error]).all():
        return None
    return (low, high) if about is None else around(about, error)


def half_sample_errors(
    statistics: Callable[[np.ndarray], Sequence[float]], n: int, seed: int = 0, samples: int = 100
) -> np.ndarray:
    """Standard errors of figures that repeated images would break, as nearest neighbours do;
    ``statistics`` measures all of them on the images at given indices.

    The delete-half jackknife (Shao and Wu 1989, Annals of Statistics 17): how far the figure moves
    between random halves, drawn without replacement, is how far the whole would move between draws
    of images."""
    rng, half = np.random.default_rng(seed), n // 2
    values = np.array([statistics(rng.permutation(n)[:half]) for _ in range(samples)])
    return values.std(0) * np.sqrt(half / (n - half))


def around(value: float, error: float) -> tuple[float, float]:
    """The normal interval: value +- 1.96 standard errors."""
    low, high = norm.interval(CONFIDENCE, value, max(error, 1e-12))
    return float(low), float(high)
