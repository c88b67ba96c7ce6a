"""Precision and recall of generated images (Kynkäänniemi et al. 2019), on any features."""

import numpy as np
from torch import Tensor
from torch_fidelity.metric_prc import calculate_precision_recall_full

from muse_core.errors import MuseError
from muse_core.evaluation.intervals import around, half_sample_errors
from muse_core.evaluation.reconstruction.metric_networks import JUDGE
from muse_core.results.measurements import Measurement
from muse_core.shapes import Float

NEIGHBOURS = 3
PROTOCOL = f"Kynkäänniemi et al. 2019, {NEIGHBOURS} neighbours, mean features of {JUDGE}"


def precision_recall(
    real_features: Float[Tensor, "images width"],
    other_features: Float[Tensor, "others width"],
    neighbours: int = NEIGHBOURS,
) -> tuple[float, float]:
    """(precision, recall) in [0, 1]: the share of other images among real ones, and of real images
    among others.

    An image is among a set when it is no further from one of its members than that member's
    ``neighbours``-th nearest.

    Raises:
        MuseError: A set has ``neighbours`` images or fewer.
    """
    for name, features in (("real", real_features), ("generated", other_features)):
        if len(features) <= neighbours:
            raise MuseError(
                f"Precision and recall look at {neighbours} neighbours, but there are "
                f"{len(features)} {name} images: measure {neighbours + 1} or more."
            )
    return calculate_precision_recall_full(
        other_features.double(), real_features.double(), neighbours
    )


def measured_precision_recall(
    real: Float[Tensor, "images width"], other: Float[Tensor, "others width"], seed: int = 0
) -> dict[str, Measurement]:
    """Both, with intervals by half samples where each half has neighbours enough.

    Raises:
        MuseError: As `precision_recall`.
    """
    n, values = min(len(real), len(other)), precision_recall(real, other)
    by_name = dict(zip(("precision", "recall"), map(float, values), strict=True))
    if n // 2 <= NEIGHBOURS:
        return {name: Measurement(value, n, PROTOCOL) for name, value in by_name.items()}
    errors = half_sample_errors(lambda i: precision_recall(real[i], other[i]), n, seed)
    found, words = {}, f"{PROTOCOL}; interval by half samples"
    for (name, value), error in zip(by_name.items(), errors, strict=True):
        low, high = np.clip(around(value, error), 0.0, 1.0).tolist()
        found[name] = Measurement(value, n, words, low, high)
    return found
