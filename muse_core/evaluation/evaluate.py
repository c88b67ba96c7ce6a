"""`evaluate`: one network, every metric, one row. The same protocol for all rows of a table."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

from torch import Tensor

from muse_core.errors import MuseError
from muse_core.evaluation.cache import Cache
from muse_core.evaluation.feature_extractors import FeatureExtractor
from muse_core.evaluation.features import grouped
from muse_core.evaluation.measures import MEASURES, Bench, Measure
from muse_core.evaluation.protocol import Protocol
from muse_core.results.measurements import Measurement, Row
from muse_core.results.tensor_files import Stored
from muse_core.training.freshness import callable_digest


@dataclass(frozen=True)
class Evaluated:
    """A row, and what stands behind it.

    ``per_image``: metric -> one value an image (n,), for means; ``confusion`` (n, classes, classes)
    of the segmentation probe.
    """

    row: Row
    tensors: dict[str, Tensor]

    @property
    def per_image(self) -> dict[str, Tensor]:
        return grouped(self.tensors).get("per_image", {})

    def with_measurements(self, **found: Measurement) -> "Evaluated":
        """The row with more figures."""
        row = replace(self.row, measurements=self.row.measurements | found)
        return replace(self, row=row)

    @property
    def confusion(self) -> Tensor | None:
        return self.tensors.get("confusion")


def evaluate(
    extractor: FeatureExtractor,
    protocol: Protocol,
    cache: Cache | None = None,
    measures: Sequence[Measure] = MEASURES,
) -> Evaluated:
    """Measure everything the data allows; what it does not allow is said in the row. No weight or
    mode changes.

    Args:
        extractor: the network to measure, under the name of its row.
        protocol: data, sizes, seed and metric networks, shared by all rows of a table.
        cache: remembers the row; None remembers nothing.
        measures: ``(*MEASURES, (("mine",), my_measure))`` for one more.
    """
    cache = cache or Cache(None)
    kind = type(extractor).__name__
    inputs = protocol.key() | {"weights": extractor.fingerprint, "extractor": kind}
    if tuple(measures) != MEASURES:
        inputs |= {"measures": [[names, callable_digest(measure)] for names, measure in measures]}
    stored = cache.recall("row", inputs, partial(_measured, extractor, protocol, cache, measures))
    return from_stored(extractor.name, stored)


def from_stored(name: str, stored: Stored) -> Evaluated:
    """The row as it was kept, under this name. Raises MuseError where what was kept is no row."""
    tensors, note = stored
    try:
        found = {metric: Measurement(**each) for metric, each in note["measurements"].items()}
        return Evaluated(Row(name, note["subject"], found), tensors)
    except (KeyError, TypeError, AttributeError) as error:
        raise MuseError(
            f"The stored row of {name} is damaged: delete its file and measure it again."
        ) from error


def to_stored(evaluated: Evaluated) -> Stored:
    """The inverse of `from_stored`, but for the name."""
    return evaluated.tensors, asdict(evaluated.row)


def _measured(
    extractor: FeatureExtractor, protocol: Protocol, cache: Cache, measures: Sequence[Measure]
) -> Stored:
    bench = Bench(extractor, protocol, cache)
    found: dict[str, Measurement] = {}
    for metrics, measure in measures:
        try:
            found |= measure(bench)
        except MuseError as reason:
            found |= {metric: Measurement.missing(str(reason)) for metric in metrics}
    subject = f"{type(extractor).__name__} {extractor.fingerprint}"
    return to_stored(Evaluated(Row(extractor.name, subject, found), bench.tensors))
