"""Precision and recall of generated images (Kynkäänniemi et al. 2019), on any network's features."""

from torch import Tensor
from torch_fidelity.metric_prc import calculate_precision_recall_full

from muse_core.errors import MuseError
from muse_core.shapes import Float

NEIGHBOURS = 3


def precision_recall(
    real_features: Float[Tensor, "images width"],
    other_features: Float[Tensor, "others width"],
    neighbours: int = NEIGHBOURS,
) -> tuple[float, float]:
    """(precision, recall) in [0, 1]: the share of other images among real ones, and of real images
    among others.

    An image is among a set when it is no further from one of its members than that member's
    ``neighbours``-th nearest. Raises MuseError for sets of ``neighbours`` images or fewer."""
    for name, features in (("real", real_features), ("generated", other_features)):
        if len(features) <= neighbours:
            raise MuseError(
                f"Precision and recall look at {neighbours} neighbours, but there are {len(features)} {name} images: "
                f"measure {neighbours + 1} or more."
            )
    return calculate_precision_recall_full(
        other_features.double(), real_features.double(), neighbours
    )
