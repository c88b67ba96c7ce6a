"""Fréchet distance between two sets of features; called rFID only where Inception measured them.

    d^2 = |mu_1 - mu_2|^2 + Tr(S_1 + S_2) - 2 sum_i sqrt(lambda_i(S_1 S_2))

(Heusel et al. 2017, the trace taken over eigenvalues as torchmetrics does, in double precision.)
torchmetrics' metric sums moments over batches and over processes."""

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from muse_core.errors import MuseError
from muse_core.shapes import Float

Features = Float[Tensor, "images width"]


class _AsTheyAre(nn.Module):
    """The "network" of features that are already there."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_features = width

    def forward(self, features: Tensor) -> Tensor:
        return features


class FrechetDistance(FrechetInceptionDistance):
    """torchmetrics' metric on features: ``update(features, real=...)`` per batch, then
    ``compute()``.

    States are sums, so that `merge_state` and torch.distributed combine them exactly.
    """

    def __init__(self, width: int) -> None:
        super().__init__(feature=_AsTheyAre(width))
        self.set_dtype(torch.float64)

    @property
    def n(self) -> tuple[int, int]:
        """How many real and other images went in."""
        return int(self.real_features_num_samples), int(self.fake_features_num_samples)


def frechet_distance(real: Features, other: Float[Tensor, "others width"]) -> float:
    """Distance between two sets of features.

    Raises MuseError for fewer than two images on a side and for features that are not finite.
    """
    for name, features in (("real", real), ("reconstructed", other)):
        if len(features) < 2:
            raise MuseError(
                f"A Fréchet distance needs two images or more, but there are {len(features)} {name} ones."
            )
        if not torch.isfinite(features).all():
            raise MuseError(
                f"The {name} images have features that are not finite: look for NaN in the images."
            )
    metric = FrechetDistance(real.shape[1])
    metric.update(real.double(), real=True)
    metric.update(other.double(), real=False)
    return max(0.0, metric.compute().item())


def biased(n: int, width: int) -> bool:
    """Whether ``n`` images are too few for a covariance of this width, which makes the distance too
    large.
    """
    return n <= width
