"""The cells of a study's table from its seeds: means, paired differences, adjusted p-values."""

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
from scipy.stats import false_discovery_control, t

from muse_core.evaluation.evaluate import Evaluated
from muse_core.evaluation.intervals import CONFIDENCE
from muse_core.evaluation.paired_seeds import FEWEST, paired_difference
from muse_core.results.measurements import METRICS, StudyCell

Cells = dict[str, dict[str, StudyCell]]
"""Row -> metric -> cell."""


def cells_over_seeds(
    measured: Mapping[str, Mapping[int, Evaluated]],
    first: str,
    family: Collection[str],
    controls: Collection[str] = (),
) -> Cells:
    """Every figure of every row, and its difference to the first row on the seeds that both have.

    Args:
        measured: Row -> seed -> what a run measured.
        first: The row that others are compared with.
        family: Metrics whose p-values are adjusted together (Benjamini and Hochberg).
        controls: Rows that are no arms: their p-values are adjusted among themselves.
    """
    values = {
        row: {metric: _by_seed(seeds, metric) for metric in METRICS}
        for row, seeds in measured.items()
    }
    alone = {
        row: {metric: _of_images(seeds, metric) for metric in METRICS}
        for row, seeds in measured.items()
    }
    cells = {
        row: {
            metric: _cell(found, {} if row == first else values[first][metric], alone[row][metric])
            for metric, found in by_metric.items()
            if found
        }
        for row, by_metric in values.items()
    }
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


def _of_images(seeds: Mapping[int, Evaluated], metric: str) -> tuple[float | None, float | None]:
    """The interval over images of a figure that one seed alone has."""
    found = [each.row.measurements.get(metric) for each in seeds.values()]
    there = [each for each in found if each is not None and each.value is not None]
    return (there[0].low, there[0].high) if len(there) == 1 else (None, None)


def _by_seed(seeds: Mapping[int, Evaluated], metric: str) -> dict[int, float]:
    found = {seed: each.row.value(metric) for seed, each in seeds.items()}
    return {seed: value for seed, value in found.items() if value is not None}


def _cell(
    own: dict[int, float],
    base: dict[int, float],
    alone: tuple[float | None, float | None],
) -> StudyCell:
    values = list(own.values())
    low, high = _interval(values) if len(values) > 1 else alone
    cell = StudyCell(float(np.mean(values)), low, high, values)
    both = [seed for seed in own if seed in base]
    if not both:
        return cell
    differences = [own[seed] - base[seed] for seed in both]
    told = replace(cell, difference=float(np.mean(differences)), differences_by_seed=differences)
    if len(both) < FEWEST:
        return told
    found = paired_difference([own[s] for s in both], [base[s] for s in both])
    return replace(told, difference_low=found.low, difference_high=found.high, p=found.p)


def _interval(values: list[float]) -> tuple[float | None, float | None]:
    """Student's over seeds; none below three of them, and where no seed changes anything."""
    n = len(values)
    if n < FEWEST or np.ptp(values) == 0:
        return None, None
    half = t.ppf((1 + CONFIDENCE) / 2, n - 1) * np.std(values, ddof=1) / np.sqrt(n)
    return float(np.mean(values) - half), float(np.mean(values) + half)
