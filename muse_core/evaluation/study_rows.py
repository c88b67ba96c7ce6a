"""Several seeds of one row -> the cells of a study's table: means over seeds, and differences on
the same images.
"""

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from muse_core.evaluation.evaluate import Evaluated
from muse_core.evaluation.intervals import interval, mean_interval
from muse_core.evaluation.understanding.segmentation import mean_iou
from muse_core.results.measurements import StudyCell

Ends = tuple[float, float] | None


def study_cell(
    metric: str, row: Sequence[Evaluated], first: Sequence[Evaluated] = ()
) -> StudyCell | None:
    """One cell from the seeds of a row, and of the first row (the same seeds, in the same order;
    none for the first row itself); None where a seed has no figure. The seeds' figures are averaged
    image by image before images are resampled."""
    values = [_value(each, metric) for each in row]
    if not values or any(value is None for value in values):
        return None
    low, high = _ends(metric, row) or (None, None)
    cell = StudyCell(_mean(values), low, high, values)
    others = [_value(each, metric) for each in first]
    if not others or any(value is None for value in others):
        return cell
    by_seed = [a - b for a, b in zip(values, others, strict=True)]
    return _with_difference(cell, by_seed, _ends(metric, row, first))


def plain_cell(values: Sequence[float], first: Sequence[float] = ()) -> StudyCell | None:
    """A cell of figures that are not means over images: no intervals, only the seeds."""
    if not values:
        return None
    cell = StudyCell(_mean(values), None, None, list(values))
    return (
        _with_difference(cell, [a - b for a, b in zip(values, first, strict=True)], None)
        if first
        else cell
    )


def _with_difference(cell: StudyCell, by_seed: list[float], ends: Ends) -> StudyCell:
    low, high = ends or (None, None)
    return StudyCell(
        cell.value, cell.low, cell.high, cell.by_seed, _mean(by_seed), low, high, by_seed
    )


def _value(evaluated: Evaluated, metric: str) -> float | None:
    found = evaluated.row.measurements.get(metric)
    return found.value if found else None


def _mean(values: Sequence[float]) -> float:
    return sum(values, 0.0) / len(values)


def _ends(metric: str, row: Sequence[Evaluated], first: Sequence[Evaluated] = ()) -> Ends:
    """Interval of the row's mean over seeds, minus the first row's where that is given."""
    if metric == "miou":
        return _miou_ends(row, first)
    if any(metric not in each.per_image for each in (*row, *first)):
        return None
    over_seeds = lambda group: np.mean(
        [each.per_image[metric].double().numpy() for each in group], axis=0
    )
    return mean_interval(over_seeds(row) - over_seeds(first) if first else over_seeds(row))


def _miou_ends(row: Sequence[Evaluated], first: Sequence[Evaluated]) -> Ends:
    tables = [each.confusion for each in (*row, *first)]
    if any(table is None for table in tables):
        return None
    figure: Callable[[Sequence[Tensor], np.ndarray], float] = lambda group, images: _mean(
        [float(mean_iou(table[images])) for table in group]
    )
    own, other = tables[: len(row)], tables[len(row) :]
    statistic = lambda images: figure(own, images) - (figure(other, images) if other else 0.0)
    return interval(statistic, len(tables[0]))
