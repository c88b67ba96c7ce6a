"""Cells from seeds: means, Student's intervals, differences on shared seeds alone, one family of
p-values.
"""

import numpy as np
import pytest
import torch
from scipy.stats import false_discovery_control, ttest_1samp, ttest_rel

from muse_core.evaluation.evaluate import Evaluated
from muse_core.evaluation.seed_cells import cells_over_seeds
from muse_core.results.measurements import Measurement, Row

MUSE = {"psnr": [25.0, 25.2, 25.1], "miou": [0.50, 0.52, 0.49], "ssim": [0.9, 0.9, 0.91]}
OTHER = {"psnr": [24.0, 24.3, 23.9], "miou": [0.51, 0.49, 0.52], "ssim": [0.8, 0.82, 0.8]}


def measured(values: dict[str, list[float]], seeds=(1, 2, 3)) -> dict[int, Evaluated]:
    return {
        seed: Evaluated(
            Row(
                "row", "weights", {name: Measurement(held[at], 9) for name, held in values.items()}
            ),
            {},
        )
        for at, seed in enumerate(seeds)
    }


def test_means_intervals_and_paired_differences() -> None:
    cells = cells_over_seeds({"muse": measured(MUSE), "other": measured(OTHER)}, "muse", ["psnr"])
    cell = cells["other"]["psnr"]
    assert cell.value == pytest.approx(np.mean(OTHER["psnr"])) and cell.by_seed == OTHER["psnr"]
    ends = ttest_1samp(OTHER["psnr"], 0).confidence_interval()
    assert (cell.low, cell.high) == pytest.approx(tuple(ends))
    assert cell.difference == pytest.approx(-1.0333, abs=1e-3)
    pair = ttest_rel(OTHER["psnr"], MUSE["psnr"])
    told = (cell.difference_low, cell.difference_high)
    assert told == pytest.approx(tuple(pair.confidence_interval()))
    assert cell.p == pytest.approx(pair.pvalue) and cell.direction == "lower"
    assert cells["muse"]["psnr"].difference is None


def test_p_values_of_the_family_are_adjusted_together_and_no_others() -> None:
    rows = {"muse": measured(MUSE), "other": measured(OTHER)}
    cells = cells_over_seeds(rows, "muse", ["psnr", "miou"])["other"]
    plain = [ttest_rel(OTHER[name], MUSE[name]).pvalue for name in ("psnr", "miou", "ssim")]
    assert [cells["psnr"].p, cells["miou"].p] == pytest.approx(
        false_discovery_control(plain[:2]).tolist()
    )
    assert cells["ssim"].p == pytest.approx(plain[2])


def test_seeds_that_only_one_side_has_count_for_its_mean_alone() -> None:
    rows = {"muse": measured(MUSE, (1, 2, 3)), "other": measured(OTHER, (2, 3, 4))}
    cell = cells_over_seeds(rows, "muse", [])["other"]["psnr"]
    assert cell.value == pytest.approx(np.mean(OTHER["psnr"]))
    assert cell.differences_by_seed == pytest.approx([24.0 - 25.2, 24.3 - 25.1])
    assert cell.p is None and cell.difference_low is None


def test_one_seed_has_no_interval_and_a_missing_figure_no_cell() -> None:
    rows = {"muse": measured(MUSE, (1,)), "other": measured({"psnr": [24.0]}, (1,))}
    cells = cells_over_seeds(rows, "muse", ["psnr"])
    assert cells["other"].keys() == {"psnr"}
    assert cells["other"]["psnr"].low is None and cells["other"]["psnr"].difference == -1.0


def test_a_row_is_compared_with_the_one_that_the_study_names() -> None:
    rows = {"muse": measured(MUSE), "base": measured(OTHER), "third": measured(MUSE)}
    cells = cells_over_seeds(rows, "muse", [], against={"base": "", "third": "base"})
    assert cells["third"]["psnr"].difference == pytest.approx(1.0333, abs=1e-3)
    assert cells["base"]["psnr"].difference == pytest.approx(-1.0333, abs=1e-3)


def test_below_three_seeds_the_interval_is_over_images_which_both_rows_share() -> None:
    images = torch.arange(20.0)

    def row(less: float) -> dict[int, Evaluated]:
        kept = {"per_image/psnr": images - less}
        return {1: Evaluated(Row("row", "", {"psnr": Measurement(9.5 - less, 20)}), kept)}

    cell = cells_over_seeds({"muse": row(0), "other": row(1)}, "muse", ["psnr"])["other"]["psnr"]
    ends = cell.difference_low, cell.difference_high
    assert ends == pytest.approx((-1, -1)), "what all images share is not uncertain"
    assert cell.low is not None and cell.low < 8.5 < (cell.high or 0) and cell.p is None


def test_equal_differences_and_what_is_no_number_are_no_evidence() -> None:
    broken = {"muse": measured(MUSE), "other": measured({"psnr": [24.0, float("nan"), 24.1]})}
    cell = cells_over_seeds(broken, "muse", ["psnr"])["other"]["psnr"]
    assert cell.by_seed == [24.0, 24.1] and cell.p is None
    flat = {
        "muse": measured({"psnr": [2.0, 4.0, 8.0]}),
        "other": measured({"psnr": [1.0, 3.0, 7.0]}),
    }
    cell = cells_over_seeds(flat, "muse", ["psnr"])["other"]["psnr"]
    assert (cell.p, cell.difference_low, cell.direction) == (None, None, "same")
