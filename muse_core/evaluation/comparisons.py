"""Is one row better than another? Both saw the same images, so the difference itself is resampled
(paired bootstrap).
"""

from collections.abc import Sequence

from muse_core.evaluation.evaluate import Evaluated
from muse_core.evaluation.intervals import interval, mean_interval
from muse_core.evaluation.understanding.segmentation import mean_iou
from muse_core.results.measurements import Comparison


def compare(a: Evaluated, b: Evaluated, metrics: Sequence[str], seed: int = 0) -> list[Comparison]:
    """``a`` minus ``b`` for each metric that both rows have; a metric that is missing on either
    side is left out.
    """
    found = [_difference(a, b, metric, seed) for metric in metrics]
    return [each for each in found if each is not None]


def _difference(a: Evaluated, b: Evaluated, metric: str, seed: int) -> Comparison | None:
    if metric == "miou":
        return _miou_difference(a, b, seed)
    if metric not in a.per_image or metric not in b.per_image:
        return None
    each = (a.per_image[metric].double() - b.per_image[metric].double()).numpy()
    ends = mean_interval(each, seed)
    if ends is None:
        return None
    difference = a.row.measurements[metric].value - b.row.measurements[metric].value
    return Comparison(metric, a.row.name, b.row.name, difference, *ends)


def _miou_difference(a: Evaluated, b: Evaluated, seed: int) -> Comparison | None:
    if a.confusion is None or b.confusion is None:
        return None
    difference = lambda images: mean_iou(a.confusion[images]) - mean_iou(b.confusion[images])
    n = len(a.confusion)
    ends = interval(difference, n, seed)
    return (
        None
        if ends is None
        else Comparison("miou", a.row.name, b.row.name, difference(slice(None)), *ends)
    )
