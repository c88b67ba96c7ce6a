"""Fréchet distance between two sets of features; called rFID only where Inception measured them.

    d^2 = |mu_1 - mu_2|^2 + Tr(S_1 + S_2) - 2 sum_i sqrt(lambda_i(S_1 S_2))

(Heusel et al. 2017, arXiv 1706.08500; the trace of the matrix root is taken over eigenvalues.)"""

import torch
from torch import Tensor

from muse_core.errors import MuseError
from muse_core.evaluation.intervals import interval
from muse_core.results.measurements import Measurement
from muse_core.shapes import Float


def frechet_distance(
    real: Float[Tensor, "images width"], other: Float[Tensor, "others width"]
) -> float:
    """Distance between two sets of features, in double precision.

    Args:
        real: features of real images (images, width).
        other: features of other images (others, width).

    Raises:
        MuseError: for fewer than two images on a side and for features that are not finite.
    """
    for name, features in (("real", real), ("reconstructed", other)):
        if len(features) < 2:
            raise MuseError(
                f"A Fréchet distance needs two images or more, but there are {len(features)} "
                f"{name} ones."
            )
        if not torch.isfinite(features).all():
            raise MuseError(
                f"The {name} images have features that are not finite: look for NaN in the images."
            )
    (m1, s1), (m2, s2) = (_moments(features.double()) for features in (real, other))
    roots = torch.linalg.eigvals(s1 @ s2).sqrt().real.sum()
    distance = (m1 - m2).square().sum() + s1.trace() + s2.trace() - 2 * roots
    return max(0.0, distance.item())


def _moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (width,) and covariance (width, width)."""
    return features.mean(0), torch.atleast_2d(torch.cov(features.T))


def measured_frechet(real: Tensor, other: Tensor, words: str, seed: int = 0) -> Measurement:
    """The distance of two sets of features with its normal bootstrap interval; ``words`` say what
    was compared, and get a warning where images are too few.
    """
    value, n, width = frechet_distance(real, other), min(len(real), len(other)), real.shape[1]
    ends = interval(lambda i: frechet_distance(real[i], other[i]), n, seed, 100, about=value)
    few = f"; biased upwards: {n} images for {width} features" if biased(n, width) else ""
    low, high = (max(0.0, ends[0]), ends[1]) if ends else (None, None)
    return Measurement(value, n, words + few, low, high)


def biased(n: int, width: int) -> bool:
    """Whether ``n`` images are too few for a covariance of this width, which makes the distance too
    large.
    """
    return n <= width
