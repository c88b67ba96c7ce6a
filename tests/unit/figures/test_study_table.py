"""A study's table, differences and sentences, from planted cells."""

import pytest

from muse_core.errors import MuseError
from muse_core.figures.study_table import outcome_sentences, study_differences, study_table, verdict
from muse_core.results.measurements import METRICS, StudyCell, StudyRecord, StudyRow
from muse_core.results.records import provenance


def less(value: float, by: float) -> StudyCell:
    """Lower than the first row by ``by``, in both seeds and the whole interval."""
    return StudyCell(
        value, value - 0.01, value + 0.01, [value] * 2, -by, -by - 0.01, -by + 0.01, [-by, -by]
    )


FULL = StudyRow(
    "full",
    "MUSE",
    {},
    "",
    {},
    {
        "psnr": StudyCell(25.0, 24.9, 25.1, [25.0, 25.0]),
        "fd_teacher": StudyCell(0.4, None, None, [0.3, 0.5]),
    },
)
SHARED = StudyRow(
    "shared",
    "one W_V & more",
    {"routing": "shared"},
    "all drop",
    {"psnr": "lower", "zero_shot": "lower"},
    {
        "psnr": less(24.0, 1.0),
        "zero_shot": StudyCell(0.9, 0.8, 1.0, [0.9, 0.9], 0.0, -0.1, 0.1, [0.01, -0.01]),
        "fd_teacher": StudyCell(0.3, None, None, [0.3, 0.3], -0.1, None, None, [-0.1, -0.1]),
    },
)
LOST = StudyRow(
    "lost", "never done", {}, "drops", {"psnr": "lower"}, {}, ["seed 0: the loss is <nan>"]
)


def record(*rows: StudyRow) -> StudyRecord:
    return StudyRecord("s", "tiny", "scenes", [0, 1], 100, list(rows), ["abc"], provenance())


def test_the_table_holds_figures_intervals_the_papers_words_and_the_outcome() -> None:
    page = study_table(record(FULL, SHARED, LOST), ("psnr", "fd_teacher", "zero_shot", "miou"))
    for text in (
        "24.9 – 25.1",
        "by seed: 0.30, 0.50",
        "one W_V &amp; more",
        "all drop",
        "in part",
        "no run was finished",
    ):
        assert text in page, text
    assert "seed 0: the loss is &lt;nan&gt;" in page and "mIoU" not in page, (
        "a metric no row has is left out"
    )


def test_a_cell_is_coloured_by_what_is_better_in_its_metric() -> None:
    assert verdict(SHARED.cells["psnr"], METRICS["psnr"]) == "worse"
    assert verdict(SHARED.cells["fd_teacher"], METRICS["fd_teacher"]) == "better"
    assert verdict(SHARED.cells["zero_shot"], METRICS["zero_shot"]) == "no difference"
    page = study_table(record(FULL, SHARED), ("psnr", "fd_teacher"))
    assert (
        'color:var(--bad,inherit)" title="by seed: 24.0, 24.0">24.0' in page
        and 'color:var(--good,inherit)" title="by seed: 0.30, 0.30">0.30' in page
    )


def test_differences_are_in_the_metrics_unit_with_a_mark_a_seed() -> None:
    picture = study_differences(record(FULL, SHARED, LOST), "zero_shot", "t")
    dots, seeds = picture.figure.data
    assert (
        list(dots.y) == ["shared"]
        and list(seeds.x) == [1.0, -1.0]
        and list(dots.error_x.array) == [10.0]
    )
    assert "difference to full, points" in picture.still.axes[0].get_xlabel()


def test_sentences_tell_what_differs_and_what_failed() -> None:
    shared, lost = outcome_sentences(record(FULL, SHARED, LOST))
    assert "PSNR −1.00 dB" in shared and "zero-shot" not in shared and "in part" in shared
    assert "no run was finished: seed 0: the loss is &lt;nan&gt;." in lost


def test_nothing_to_show_is_a_sentence() -> None:
    with pytest.raises(MuseError, match="no rows to show"):
        study_table(record(), ("psnr",))
    with pytest.raises(MuseError, match="no row has a difference"):
        study_differences(record(FULL), "psnr", "t")
