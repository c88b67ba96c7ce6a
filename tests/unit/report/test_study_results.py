"""A study gathered: cells against the first row, failures with their reason, the record on disk,
the verdicts.
"""

import json
from pathlib import Path

import pytest

from muse_core.errors import MuseError
from muse_core.report.study_results import StudyResults, verdicts

from .planted_study import planted_results


@pytest.fixture
def results(workspace: Path) -> StudyResults:
    return planted_results(workspace)


def test_rows_are_compared_with_the_first_one_seed_by_seed(results: StudyResults) -> None:
    full, shared, _ = results.record.rows
    assert full.cells["psnr"].by_seed == [25.0, 25.0] and full.cells["psnr"].difference is None
    assert shared.cells["psnr"].difference == -1.0 and shared.cells["psnr"].direction == "lower"
    assert full.cells["gradient_cosine"].value == 0.0, "no weight of the blocks hears both"
    assert shared.cells["gradient_cosine"].value == pytest.approx(-1.8 / 10**0.5, rel=1e-5)
    assert shared.outcome == "reproduced" and shared.parameters == {"routing": "shared"}


def test_a_row_that_failed_says_why_and_the_others_stand(results: StudyResults) -> None:
    lost = results.record.rows[2]
    assert lost.outcome == "failed" and lost.failures == [
        "seed 0: the loss is nan",
        "seed 1: the loss is nan",
    ]
    assert results.record.commits == ["abc"] and results.record.n_test == 20


def test_only_seeds_that_both_rows_have_are_compared(results: StudyResults) -> None:
    results.states = [state for state in results.states if state.planned.run != "planted.full.1"]
    full, shared, _ = results.record.rows
    assert (
        full.cells["psnr"].by_seed == [25.0] and len(shared.cells["psnr"].differences_by_seed) == 1
    )


def test_the_record_is_written_with_its_outcomes(
    results: StudyResults, capsys: pytest.CaptureFixture[str]
) -> None:
    record = json.loads(results.save().read_text())
    assert [row["outcome"] for row in record["rows"]] == ["", "reproduced", "failed"]
    assert "ablations.json" in capsys.readouterr().out


def test_verdicts_count_the_papers_statements(results: StudyResults) -> None:
    assert verdicts(results.record) == [
        "Reproduced (1 of the paper's 2 statements): shared.",
        "Not trained (1 of the paper's 2 statements): lost.",
    ]


def test_a_row_that_a_picture_needs_and_is_not_there_is_a_sentence(results: StudyResults) -> None:
    results.require("full", "shared")
    with pytest.raises(MuseError, match="has no row 'release'"):
        results.require("release")
    with pytest.raises(MuseError, match=r"No run of the row 'lost' is done .*the loss is nan"):
        results.require("lost")


def test_a_damaged_row_is_a_sentence(results: StudyResults, workspace: Path) -> None:
    (workspace / "reports/planted.full.0/records/row.safetensors").write_bytes(b"cut")
    with pytest.raises(
        MuseError, match=r"its row is missing or damaged: delete reports/planted\.full\.0"
    ):
        _ = results.evaluated


def test_the_recorders_share_of_the_time(results: StudyResults) -> None:
    assert results.overheads() == [pytest.approx(0.05)] * 4
