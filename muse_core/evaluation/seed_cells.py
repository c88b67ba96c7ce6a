"""The cells of a study's table from its seeds: means, paired differences, adjusted p-values."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy.stats import false_discovery_control, t

from muse_core.evaluation.evaluate import Evaluated
from muse_core.evaluation.intervals import CONFIDENCE, Statistic, interval
from muse_core.evaluation.paired_seeds import FEWEST, paired_difference
from muse_core.evaluation.understanding.segmentation import mean_iou
from muse_core.results.measurements import METRICS, StudyCell

Cells = dict[str, dict[str, StudyCell]]
"""Row -> metric -> cell."""
Ends = tuple[float | None, float | None]
BySeed = Mapping[int, Evaluated]
"""What the runs of one row measured, by their seed."""


def cells_over_seeds(
    measured: Mapping[str, BySeed],
    first: str,
    family: Collection[str],
    controls: Collection[str] = (),
    against: Mapping[str, str] | None = None,
) -> Cells:
    """Every figure of every row, and its difference to another row on the seeds that both have.

    Args:
        measured: Row -> seed -> what a run measured.
        first: The row that others are compared with.
        family: Metrics whose p-values are adjusted together (Benjamini and Hochberg).
        controls: Rows that are no arms: their p-values are adjusted among themselves.
        against: Row -> the row it is compared with instead; "" is the first.
    """
    cells: Cells = {}
    for row, own in measured.items():
        base = measured.get((against or {}).get(row) or first, {}) if row != first else {}
        found = {metric: _cell(_having(own, metric), base, metric) for metric in METRICS}
        cells[row] = {metric: cell for metric, cell in found.items() if cell is not None}
    for rows in (cells.keys() - set(controls), set(controls)):
        _adjust(cells, [(row, metric) for row in cells if row in rows for metric in family])
    return cells


def _adjust(cells: Cells, family: Collection[tuple[str, str]]) -> None:
    """Give the cells of a family that have a p-value the adjusted one."""
    known = [(row, metric) for row, metric in family if metric in cells[row]]
    known = [(row, metric) for row, metric in known if cells[row][metric].p is not None]
    if known:
        plain = [cells[row][metric].p or 0.0 for row, metric in known]
        for (row, metric), p in zip(known, false_discovery_control(plain), strict=True):
            cells[row][metric] = replace(cells[row][metric], p=float(p))


def _having(seeds: BySeed, metric: str) -> BySeed:
    """Those that have this figure, and it is a number."""
    values = {seed: each.row.value(metric) for seed, each in seeds.items()}
    there = {seed for seed, value in values.items() if value is not None and np.isfinite(value)}
    return {seed: each for seed, each in seeds.items() if seed in there}


def _cell(own: BySeed, base: BySeed, metric: str) -> StudyCell | None:
    if not own:
        return None
    values = _values(own, metric)
    cell = StudyCell(float(np.mean(values)), *_interval(own, metric), values)
    both = [seed for seed in own if seed in _having(base, metric)]
    if not both:
        return cell
    pairs = [(own[seed], base[seed]) for seed in both]
    differences = [_value(one, metric) - _value(other, metric) for one, other in pairs]
    told = replace(cell, difference=float(np.mean(differences)), differences_by_seed=differences)
    if len(both) < FEWEST:
        low, high = _over_images(pairs, metric)
        return replace(told, difference_low=low, difference_high=high)
    ours, theirs = zip(*((_value(a, metric), _value(b, metric)) for a, b in pairs), strict=True)
    found = paired_difference(ours, theirs)
    # Equal in every seed: there is no spread to measure a difference by.
    if found.detectable == 0:
        return told
    return replace(told, difference_low=found.low, difference_high=found.high, p=found.p)


def _value(each: Evaluated, metric: str) -> float:
    return float(each.row.measurements[metric].value or 0.0)


def _values(seeds: BySeed, metric: str) -> list[float]:
    return [_value(each, metric) for each in seeds.values()]


def _interval(seeds: BySeed, metric: str) -> Ends:
    """Student's over three seeds or more; over images below that, where they were kept."""
    values, n = _values(seeds, metric), len(seeds)
    if n >= FEWEST:
        half = t.ppf((1 + CONFIDENCE) / 2, n - 1) * np.std(values, ddof=1) / np.sqrt(n)
        same = np.ptp(values) == 0
        return (
            (None, None) if same else (float(np.mean(values) - half), float(np.mean(values) + half))
        )
    only = next(iter(seeds.values())).row.measurements[metric]
    if n == 1 and only.low is not None:
        return only.low, only.high
    return _over_images([(each,) for each in seeds.values()], metric)


def _over_images(runs: Sequence[tuple[Evaluated, ...]], metric: str) -> Ends:
    """Bootstrap interval over the test images of a mean over seeds, of a figure or of a first run's
    figure less a second's: what two runs find easy or hard alike cancels. None where a run has no
    values an image.
    """
    counts = {_images(each, metric) for pair in runs for each in pair}
    if len(counts) > 1 or 0 in counts:
        return None, None
    parts = [[_statistic(each, metric) for each in pair] for pair in runs]

    def figure(images: np.ndarray) -> float:
        return float(
            np.mean([one(images) - sum(less(images) for less in rest) for one, *rest in parts])
        )

    return interval(figure, counts.pop()) or (None, None)


def _images(run: Evaluated, metric: str) -> int:
    if metric == "miou" and run.confusion is not None:
        return len(run.confusion)
    return len(run.per_image.get(metric, ()))


def _statistic(run: Evaluated, metric: str) -> Statistic:
    if metric == "miou" and (confusion := run.confusion) is not None:
        return lambda images: float(mean_iou(confusion[images]))
    values = run.per_image[metric].numpy()
    return lambda images: float(np.nanmean(values[images]))
