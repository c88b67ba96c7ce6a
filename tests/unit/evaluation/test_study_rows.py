"""Cells of a study: means over seeds, intervals that pair the images, and what is left out."""

import pytest
import torch

from muse_core.evaluation.evaluate import Evaluated
from muse_core.evaluation.study_rows import plain_cell, study_cell
from muse_core.results.measurements import Measurement, Row


def seed(metric: str, values: torch.Tensor) -> Evaluated:
    return Evaluated(
        Row("r", "", {metric: Measurement(values.double().mean().item())}),
        {f"per_image/{metric}": values},
    )


def test_the_value_is_the_mean_over_seeds_and_each_seed_is_kept() -> None:
    cell = study_cell(
        "psnr", [seed("psnr", torch.full((4,), 20.0)), seed("psnr", torch.full((4,), 22.0))]
    )
    assert (cell.value, cell.low, cell.high, cell.by_seed) == (21.0, 21.0, 21.0, [20.0, 22.0])
    assert cell.difference is None and cell.direction == "same"


def test_a_difference_is_told_where_images_are_paired_though_they_vary_more_than_it() -> None:
    images = 5 * torch.randn(200)
    full = [seed("psnr", images + shift) for shift in (20.0, 21.0)]
    less = [seed("psnr", images + shift - 0.5 + 0.1 * torch.randn(200)) for shift in (20.0, 21.0)]
    cell = study_cell("psnr", less, full)
    assert (
        cell.difference == pytest.approx(-0.5, abs=0.05)
        and cell.difference_low < cell.difference < cell.difference_high
    )
    assert cell.direction == "lower" and len(cell.differences_by_seed) == 2


def test_seeds_that_disagree_tell_nothing() -> None:
    base = torch.zeros(50)
    cell = study_cell(
        "psnr", [seed("psnr", base + 3), seed("psnr", base - 1)], [seed("psnr", base)] * 2
    )
    assert cell.difference == 1.0 and cell.difference_low > 0 and cell.direction == "same"


def confused(right: int) -> Evaluated:
    """100 images, two classes, ``right`` of 10 pixels of each class found."""
    table = torch.tensor([[right, 10 - right], [10 - right, right]]).expand(100, 2, 2).clone()
    value = right / (20 - right)
    return Evaluated(Row("r", "", {"miou": Measurement(value)}), {"confusion": table})


def test_miou_is_resampled_by_its_confusion_tables() -> None:
    cell = study_cell("miou", [confused(6)], [confused(9)])
    assert cell.low == pytest.approx(6 / 14) == cell.value
    assert cell.difference_high == pytest.approx(6 / 14 - 9 / 11) and cell.direction == "lower"


def test_figures_without_images_have_seeds_only() -> None:
    cell = plain_cell([0.1, 0.3], [0.0, 0.1])
    assert cell.value == pytest.approx(0.2) and cell.low is None and cell.direction == "higher"
    frechet = [Evaluated(Row("r", "", {"fd_teacher": Measurement(2.0)}), {})]
    assert study_cell("fd_teacher", frechet, frechet).difference == 0.0
    assert plain_cell([]) is None


def test_a_seed_without_a_figure_leaves_the_cell_out() -> None:
    missing = Evaluated(Row("r", "", {"psnr": Measurement.missing("why")}), {})
    assert study_cell("psnr", [missing]) is None and study_cell("psnr", []) is None
    assert study_cell("psnr", [seed("psnr", torch.ones(3))], [missing]).difference is None
