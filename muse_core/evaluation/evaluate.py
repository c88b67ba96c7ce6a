"""`evaluate`: one subject, every measure, one row. The same protocol for all subjects of a table."""

from dataclasses import asdict, dataclass
from functools import partial

from torch import Tensor

from muse_core.errors import MuseError
from muse_core.evaluation.cache import Cache
from muse_core.evaluation.feature_extractors import Subject
from muse_core.evaluation.features import Progress
from muse_core.evaluation.measures import MEASURES, Bench
from muse_core.evaluation.protocol import Protocol
from muse_core.results.measurements import Measurement, Row
from muse_core.results.tensor_files import Stored


@dataclass(frozen=True)
class Evaluated:
    """A row, and what stands behind it.

    ``per_image``: metric -> one value an image (n,), for means; ``predicted``: "zero_shot" and
    "linear_probe" -> class an image; ``confusion`` (n, classes, classes) of the segmentation probe,
    ``head`` its weight and bias."""

    row: Row
    per_image: dict[str, Tensor]
    predicted: dict[str, Tensor]
    confusion: Tensor | None = None
    head: tuple[Tensor, Tensor] | None = None


def evaluate(
    subject: Subject,
    protocol: Protocol,
    cache: Cache | None = None,
    progress: Progress = lambda words: None,
) -> Evaluated:
    """Measure everything the data allows; what it does not allow is said in the row. No weight or
    mode changes.
    """
    cache = cache or Cache(None)
    inputs = protocol.key() | {"weights": subject.fingerprint, "subject": type(subject).__name__}
    tensors, note = cache.recall(
        "row", inputs, partial(_measured, subject, protocol, cache, progress)
    )
    return from_stored(subject.name, (tensors, note))


def from_stored(name: str, stored: Stored) -> Evaluated:
    """The row as it was kept, under this name. Raises MuseError where what was kept is no row."""
    tensors, note = stored
    try:
        measurements = {
            metric: Measurement(**each) for metric, each in note["measurements"].items()
        }
        row = Row(name, note["subject"], measurements)
    except (KeyError, TypeError, AttributeError) as error:
        raise MuseError(
            f"The stored row of {name} is damaged: delete its file and measure it again."
        ) from error
    group = lambda prefix: {
        name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)
    }
    return Evaluated(
        row=row,
        per_image=group("per_image/"),
        predicted=group("predicted/"),
        confusion=tensors.get("confusion"),
        head=(tensors["head/weight"], tensors["head/bias"]) if "head/weight" in tensors else None,
    )


def to_stored(evaluated: Evaluated) -> Stored:
    """The inverse of `from_stored`, but for the name."""
    tensors = {f"per_image/{name}": each for name, each in evaluated.per_image.items()}
    tensors |= {f"predicted/{name}": each for name, each in evaluated.predicted.items()}
    tensors |= {"confusion": evaluated.confusion} if evaluated.confusion is not None else {}
    tensors |= (
        dict(zip(("head/weight", "head/bias"), evaluated.head, strict=True))
        if evaluated.head
        else {}
    )
    measurements = {name: asdict(each) for name, each in evaluated.row.measurements.items()}
    return tensors, {"subject": evaluated.row.subject, "measurements": measurements}


def _measured(subject: Subject, protocol: Protocol, cache: Cache, progress: Progress) -> Stored:
    bench = Bench(subject, protocol, cache, progress)
    found: dict[str, Measurement] = {}
    for names, measure in MEASURES:
        progress(names[0].replace("_", " "))
        try:
            found |= measure(bench)
        except MuseError as reason:
            found |= {name: Measurement.missing(str(reason)) for name in names}
    note = {
        "subject": f"{type(subject).__name__} {subject.fingerprint}",
        "measurements": {name: asdict(each) for name, each in found.items()},
    }
    return bench.tensors, note
