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
    measured: Mapping[str, Mapping[int, Evaluated]], first: str, family: Collection[str]
) -> Cells:
    """Every figure of every row, and its difference to the first row on the seeds that both have.

    Args:
        measured: Row -> seed -> what a run measured.
        first: The row that others are compared with.
        family: Metrics whose p-values are adjusted together (Benjamini and Hochberg).
    """
    values = {
        row: {metric: _by_seed(seeds, metric) for metric in METRICS}
        for row, seeds in measured.items()
    }
    cells = {
        row: {
            metric: _cell(found, {} if row == first else values[first][metric])
            for metric, found in by_metric.items()
            if found
        }
        for row, by_metric in values.items()
    }
    known = [
        (row, metric, cell.p)
        for row, by_metric in cells.items()
        for metric, cell in by_metric.items()
        if metric in family and cell.p is not None
    ]
    if known:
        for (row, metric, _), p in zip(
            known, false_discovery_control([p for _, _, p in known]), strict=True
        ):
            cells[row][metric] = replace(cells[row][metric], p=float(p))
    return cells


def _by_seed(seeds: Mapping[int, Evaluated], metric: str) -> dict[int, float]:
    found = {seed: each.row.value(metric) for seed, each in seeds.items()}
    return {seed: value for seed, value in found.items() if value is not None}


def _cell(own: dict[int, float], base: dict[int, float]) -> StudyCell:
    values = list(own.values())
    low, high = _interval(values)
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
    """Student's over seeds; none below three of them."""
    n = len(values)
    if n < FEWEST:
        return None, None
    half = t.ppf((1 + CONFIDENCE) / 2, n - 1) * np.std(values, ddof=1) / np.sqrt(n)
    return float(np.mean(values) - half), float(np.mean(values) + half)
