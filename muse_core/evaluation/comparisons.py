"""Is one row better than another? Both saw the same images, so the difference itself is resampled
(paired bootstrap).
"""

from collections.abc import Sequence

from muse_core.evaluation.evaluate import Evaluated
from muse_core.evaluation.intervals import interval, mean_interval
from muse_core.evaluation.understanding.segmentation import mean_iou
from muse_core.results.measurements import METRICS, Comparison

VERDICTS = {"better": "better in", "worse": "worse in", "no difference": "not told apart in"}


def compare(a: Evaluated, b: Evaluated, metrics: Sequence[str], seed: int = 0) -> list[Comparison]:
    """``a`` minus ``b`` for each metric that both rows have; a metric that is missing on either
    side is left out.
    """
    found = []
    for metric in metrics:
        ends, one, other = _ends(metric, a, b, seed), a.row.value(metric), b.row.value(metric)
        if ends is not None and one is not None and other is not None:
            found.append(Comparison(metric, a.row.name, b.row.name, one - other, *ends))
    return found


def _ends(metric: str, a: Evaluated, b: Evaluated, seed: int) -> tuple[float, float] | None:
    if metric == "miou":
        one, other = a.confusion, b.confusion
        if one is None or other is None:
            return None
        difference = lambda images: mean_iou(one[images]) - mean_iou(other[images])
        return interval(difference, len(one), seed)
    one, other = a.per_image.get(metric), b.per_image.get(metric)
    if one is None or other is None:
        return None
    return mean_interval((one.double() - other.double()).numpy(), seed)


def verdicts(comparisons: Sequence[Comparison]) -> list[str]:
    """What comparisons of one row with others show: a sentence for each other row."""
    found = []
    for other in dict.fromkeys(each.b for each in comparisons):
        metrics = {verdict: [] for verdict in VERDICTS}
        for each in comparisons:
            if each.b == other:
                metrics[each.verdict].append(METRICS[each.metric].words)
        parts = [f"{VERDICTS[each]} {', '.join(held)}" for each, held in metrics.items() if held]
        found.append(
            f"Against {other}, at the 95 % level and for one training seed: {'; '.join(parts)}."
        )
    return found
