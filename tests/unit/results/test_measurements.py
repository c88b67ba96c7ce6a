"""The vocabulary of results: every metric has its words, a verdict follows the metric's direction,
a record survives JSON.
"""

from dataclasses import asdict, replace

import pytest

from muse_core.evaluation.measures import MEASURES, PROTOCOLS
from muse_core.results.measurements import (
    ANSWERS,
    ASKED_KINDS,
    COSTS,
    DRAWN,
    FOLLOWING,
    METRICS,
    Comparison,
    EvaluationRecord,
    Measurement,
    Row,
    StudyCell,
    StudyRow,
)
from muse_core.results.records import provenance, read_json, write_json


def test_every_measured_name_has_its_words() -> None:
    measured = {name for names, _ in MEASURES for name in names}
    elsewhere = {
        "gradient_cosine",
        *("gfid", "gfd_judge", "fd_judge", "precision", "recall", *FOLLOWING),
        *(*COSTS, *ANSWERS, *DRAWN),
    }  # from the recorder, of generated images, and of Table 1
    assert measured | PROTOCOLS.keys() | elsewhere == set(METRICS)


def test_the_kinds_of_questions_are_those_that_are_asked() -> None:
    from muse_core.data.scene_questions import ASKED

    assert tuple(ASKED) == ASKED_KINDS


def test_every_metric_has_a_direction_and_shares_are_shown_in_percent() -> None:
    for name, metric in METRICS.items():
        assert metric.better in (-1, +1) and metric.words, name
        assert (metric.unit == "%") == (metric.scale == 100), name
    less = {name for name, metric in METRICS.items() if metric.better < 0}
    distances = {"lpips", "perceptual_judge", "rfid", "fd_judge", "attention_kl"}
    generated = {"gfid", "gfd_judge"}
    assert less == distances | generated | {*COSTS} - {"codes_used", "perplexity"}


@pytest.mark.parametrize(
    ("metric", "low", "high", "verdict"),
    [
        ("psnr", 0.1, 0.5, "better"),
        ("psnr", -0.5, -0.1, "worse"),
        ("fd_judge", 0.1, 0.5, "worse"),
        ("fd_judge", -0.5, -0.1, "better"),
        ("psnr", -0.1, 0.5, "no difference"),
        ("psnr", 0.0, 0.5, "no difference"),
        ("fd_judge", -0.5, 0.0, "no difference"),
    ],
)
def test_a_verdict_follows_the_direction_and_needs_an_interval_without_zero(
    metric, low, high, verdict
) -> None:
    assert Comparison(metric, "a", "b", (low + high) / 2, low, high).verdict == verdict


def test_an_interval_that_is_not_a_number_decides_nothing() -> None:
    assert Comparison("psnr", "a", "b", 0.3, float("nan"), float("nan")).verdict == "no difference"


def test_what_is_missing_says_why() -> None:
    missing = Measurement.missing("this data has no masks")
    assert (missing.value, missing.low, missing.high, missing.n) == (None, None, None, 0)
    assert missing.protocol == "this data has no masks"


def test_a_record_survives_its_file(tmp_path) -> None:
    rows = [
        Row(
            "MUSE",
            "TokenizerExtractor 0a",
            {"psnr": Measurement(26.6, 1000, "mean", 26.5, 26.7, {"by": [1.0, None]})},
        ),
        Row("absent", "", {"psnr": Measurement.missing("no run")}),
    ]
    record = EvaluationRecord(
        run="tiny",
        preset="tiny",
        data="scenes",
        split="test",
        n_train=4000,
        n_test=1000,
        seed=0,
        rows=rows,
        comparisons=[Comparison("psnr", "MUSE", "absent", 0.3, 0.1, 0.5)],
        notes=["a note"],
        seconds=1.5,
        provenance=provenance(),
    )
    assert read_json(write_json(tmp_path / "evaluation.json", record)) == asdict(record)


def cell(*by_seed: float, low: float | None = None, high: float | None = None) -> StudyCell:
    """A cell whose seeds differ from the first row's by these."""
    return StudyCell(0.5, None, None, [0.5] * len(by_seed), sum(by_seed), low, high, list(by_seed))


@pytest.mark.parametrize(
    ("found", "direction"),
    [
        (cell(-1.0, -0.5, low=-1.2, high=-0.1), "lower"),
        (cell(0.2, 0.1, low=0.05, high=0.3), "higher"),
        (cell(0.2, 0.1), "same"),
        (cell(0.2, -0.1), "same"),
        (cell(0.2, 0.1, low=-0.1, high=0.4), "same"),
        (cell(0.0, -0.1), "same"),
        (StudyCell(0.5, 0.4, 0.6, [0.5]), "same"),
        (replace(cell(-1.0, -0.5, -0.7, low=-1.2, high=-0.1), p=0.04), "lower"),
        (replace(cell(-1.0, -0.5, -0.7, low=-1.2, high=-0.1), p=0.06), "same"),
    ],
)
def test_a_direction_needs_every_seed_and_the_whole_interval(
    found: StudyCell, direction: str
) -> None:
    assert found.direction == direction


def row(expects: dict[str, str], **cells: StudyCell) -> StudyRow:
    return StudyRow("r", "", {}, "paper", expects, cells)


def test_the_outcome_counts_what_is_met() -> None:
    lower, same = cell(-1.0, -1.0, low=-1.5, high=-0.5), cell(1.0, -1.0, low=-2.0, high=2.0)
    assert row({"psnr": "lower", "miou": "lower"}, psnr=lower, miou=lower).outcome == "reproduced"
    assert row({"psnr": "lower", "miou": "lower"}, psnr=lower, miou=same).outcome == "in part"
    assert row({"psnr": "lower"}, psnr=same).outcome == "open"
    assert row({"psnr": "higher"}, psnr=lower).outcome == "the other way"
    assert row({}, psnr=same).outcome == "" and row({"psnr": "lower"}).outcome == "failed"


@pytest.mark.parametrize(
    ("bound", "met"), [("below 0.6", True), ("below 0.5", None), ("below 0.3", False)]
)
def test_a_figure_may_be_expected_below_a_number_in_every_seed(
    bound: str, met: bool | None
) -> None:
    assert StudyCell(0.5, 0.4, 0.6, [0.5, 0.5, 0.5]).meets(bound) is met
