"""Is one training better than another? Differences over paired seeds, by Student's t."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t, ttest_1samp

from muse_core.errors import MuseError
from muse_core.evaluation.intervals import CONFIDENCE

POWER = 0.8
FEWEST = 3
"""Seeds, below which there is no interval worth the name."""


@dataclass(frozen=True)
class PairedDifference:
    """Mean difference of ``n`` paired seeds with its 95 % interval.

    ``p``: two-sided, of the hypothesis that the true difference is ``margin``. ``detectable``: the
    smallest distance from the margin that so many seeds would show in four studies out of five."""

    mean: float
    low: float
    high: float
    p: float
    detectable: float
    n: int


def paired_difference(
    values: Sequence[float], others: Sequence[float], margin: float = 0.0
) -> PairedDifference:
    """``values`` minus ``others``, seed by seed.

    Raises:
        MuseError: Fewer than three seeds, or not as many on both sides.
    """
    if len(values) != len(others) or len(values) < FEWEST:
        raise MuseError(
            f"A difference over seeds needs {FEWEST} pairs, and there are {len(values)} and "
            f"{len(others)} values: run more seeds."
        )
    found = np.asarray(values, dtype=float) - np.asarray(others, dtype=float)
    n, mean = len(found), float(found.mean())
    # Decimals that are equal differ by rounding as floats.
    equal = np.allclose(found, found[0], rtol=1e-9, atol=1e-12)
    error = 0.0 if equal else float(found.std(ddof=1) / np.sqrt(n))
    half = float(t.ppf((1 + CONFIDENCE) / 2, n - 1)) * error
    detectable = half + float(t.ppf(POWER, n - 1)) * error
    tested: Any = ttest_1samp(found, margin) if error > 0 else None
    # Without spread between seeds there is nothing to measure a difference by.
    p = float(tested.pvalue) if tested is not None else 1.0
    return PairedDifference(mean, mean - half, mean + half, p, detectable, n)
