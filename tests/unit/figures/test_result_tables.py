from html.parser import HTMLParser

import pytest

from muse_core.errors import MuseError
from muse_core.figures.result_tables import (
    comparison_table,
    features_table,
    outcome_sentences,
    results_table,
    study_table,
    variant_table,
    verdict,
)
from muse_core.results.measurements import (
    METRICS,
    Comparison,
    Measurement,
    Row,
    StudyCell,
    StudyRecord,
    StudyRow,
    VariantRow,
)
from muse_core.results.records import provenance

NO_DECODER = "It has no decoder: nothing <is> reconstructed."


def row(name: str, **values: float | Measurement) -> Row:
    """Plain numbers become measurements with an interval of a hundredth around them."""
    found = {
        metric: value
        if isinstance(value, Measurement)
        else Measurement(value, 100, "", value - 0.01, value + 0.01)
        for metric, value in values.items()
    }
    return Row(name, name, found)


class Reader(HTMLParser):
    """Collects cells (with their text), what is bold, and refuses tags that do not close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.lines: list[list[str]] = []
        self.bold: list[str] = []
        self.below = ""
        self.feed(text)
        self.below = self.below.strip()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        if tag == "br":
            return self.handle_data("|")
        self.open.append(tag)
        if tag == "tr":
            self.lines.append([])
        if tag in ("td", "th"):
            assert tag == "td" or dict(attrs)["scope"] in ("row", "col")
            self.lines[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "td" in self.open or "th" in self.open:
            self.lines[-1][-1] += data
        elif "caption" not in self.open:
            self.below += data
        if "strong" in self.open:
            self.bold.append(data)


ROWS = [
    row("chance", zero_shot=0.999, fd_judge=0.01, psnr=Measurement.missing(NO_DECODER)),
    row("a <b> & c", zero_shot=0.962, fd_judge=7.05, psnr=Measurement.missing(NO_DECODER)),
    row("MUSE", zero_shot=0.985, fd_judge=6.42, psnr=26.62),
]


def test_values_and_intervals_are_in_the_metrics_unit_and_digits():
    read = Reader(results_table(ROWS, ["zero_shot", "fd_judge", "psnr"], "Run tiny"))
    assert read.lines[0] == ["", "zero-shot|% ↑", "Fréchet distance, judge| ↓", "PSNR|dB ↑"]
    assert read.lines[3] == ["MUSE", "98.5|97.5 – 99.5", "6.42|6.41 – 6.43", "26.6|26.6 – 26.6"]


def test_the_best_is_bold_in_its_direction_and_chance_never_is():
    assert Reader(results_table(ROWS, ["zero_shot", "fd_judge"], "")).bold == ["98.5", "6.42"]


def test_what_looks_equal_is_equally_bold():
    rows = [row("a", psnr=20.01), row("b", psnr=20.02), row("c", psnr=19.9)]
    assert Reader(results_table(rows, ["psnr"], "")).bold == ["20.0", "20.0"]


def test_a_reason_is_told_once_and_everything_is_escaped():
    text = results_table(ROWS, ["psnr", "zero_shot"], "1 < 2")
    read = Reader(text)
    assert [line[1] for line in read.lines[1:3]] == ["–a", "–a"]
    assert read.below == f"a {NO_DECODER}"
    assert read.lines[2][0] == "a <b> & c" and "<b>" not in text
    assert "1 &lt; 2</caption>" in text


def test_a_figure_nobody_mentioned_is_a_dash_without_a_letter():
    read = Reader(results_table([*ROWS, row("later")], ["zero_shot"], ""))
    assert read.lines[-1] == ["later", "–"] and read.below == ""


def test_nan_is_missing_and_never_the_best():
    read = Reader(results_table([row("a", psnr=float("nan")), row("b", psnr=20.0)], ["psnr"], ""))
    assert read.lines[1][1] == "–a" and read.bold == ["20.0"]
    assert "not a number" in read.below


def test_a_column_that_no_row_has_is_left_out():
    rows = [row("a", psnr=20.0, lpips=Measurement.missing("No VGG here.")), row("b", psnr=21.0)]
    read = Reader(results_table(rows, ["lpips", "psnr", "miou"], ""))
    assert read.lines[0] == ["", "PSNR|dB ↑"] and read.below == ""


def test_without_an_interval_the_value_stands_alone_with_a_true_minus():
    rows = [
        row("a", attention_rank=Measurement(-0.25)),
        row("b", attention_rank=Measurement(-0.0001)),
    ]
    assert [line[1] for line in Reader(results_table(rows, ["attention_rank"], "")).lines[1:]] == [
        "−0.250",
        "0.000",
    ]


def test_comparisons_are_said_in_words_and_points():
    found = [
        Comparison("zero_shot", "MUSE", "a <b>", 0.023, 0.012, 0.034),
        Comparison("fd_judge", "MUSE", "old", -0.6, -1.3, 0.1),
        Comparison("fd_judge", "MUSE", "old", 0.6, 0.5, 0.7),
    ]
    lines = Reader(comparison_table(found)).lines[1:]
    assert lines[0] == ["zero-shot", "MUSE", "a <b>", "+2.30 points|+1.20 to +3.40", "better"]
    assert lines[1][3].endswith("−1.300 to +0.100")
    assert [line[4] for line in lines] == ["better", "no difference", "worse"]


def test_no_comparison_is_no_table():
    assert comparison_table([]) == ""


def test_a_table_of_nothing_is_refused():
    with pytest.raises(MuseError, match="at least one row"):
        results_table([], ["psnr"], "Run tiny")


def test_every_probed_feature_has_a_column_and_what_a_row_lacks_stays_empty() -> None:
    probed = Measurement(
        0.9, 10, "", details={"by_feature": {"semantic <stream>": 0.9, "latent z": 0.25}}
    )
    other = Measurement(0.5, 10, "", details={"by_feature": {"latent z": 0.5}})
    read = Reader(
        features_table(
            [row("a", linear_probe=probed), row("b", linear_probe=other)], "linear_probe"
        )
    )
    assert read.lines == [
        ["", "semantic <stream>", "latent z"],
        ["a", "90.0", "25.0"],
        ["b", "", "50.0"],
    ]


def test_without_probed_features_there_is_no_table() -> None:
    assert features_table([row("a", psnr=20.0)], "linear_probe") == ""


def less(value: float, by: float) -> StudyCell:
    """Lower than the first row by ``by``, in both seeds and the whole interval."""
    ends = (value - 0.01, value + 0.01)
    return StudyCell(value, *ends, [value] * 2, -by, -by - 0.01, -by + 0.01, [-by, -by])


FULL = {
    "psnr": StudyCell(25.0, 24.9, 25.1, [25.0, 25.0]),
    "fd_judge": StudyCell(0.4, None, None, [0.3, 0.5]),
}
SHARED = {
    "psnr": less(24.0, 1.0),
    "zero_shot": StudyCell(0.9, 0.8, 1.0, [0.9, 0.9], 0.0, -0.1, 0.1, [0.01, -0.01]),
    "fd_judge": StudyCell(0.3, None, None, [0.3, 0.3], -0.1, -0.12, -0.08, [-0.1, -0.1]),
}
EXPECTED = {"psnr": "lower", "zero_shot": "lower"}
STUDY = [
    StudyRow("full", "MUSE", {}, "", {}, FULL),
    StudyRow("shared", "one W_V & more", {}, "all drop", EXPECTED, SHARED),
    StudyRow("lost", "never done", {}, "drops", {"psnr": "lower"}, {}, ["seed 0: it is <nan>"]),
]


def record(*rows: StudyRow) -> StudyRecord:
    return StudyRecord("s", "tiny", "scenes", [0, 1], 100, list(rows), ["abc"], provenance())


def test_a_study_holds_figures_intervals_the_papers_words_and_the_outcome():
    page = study_table(record(*STUDY), ("psnr", "fd_judge", "zero_shot", "miou"))
    read = Reader(page)
    assert read.lines[1][:2] == ["full|MUSE", "25.0|24.9 – 25.1"]
    assert read.lines[2][0] == "shared|one W_V & more" and read.lines[2][-2:] == [
        "all drop",
        "in part",
    ]
    assert read.lines[3][1:] == ["–", "–", "–", "drops", "no run was finished"]
    assert read.below == "Not finished: lost, seed 0: it is <nan>"
    assert 'title="by seed: 0.30, 0.50"' in page and "mIoU" not in page


def test_a_cell_is_coloured_by_what_is_better_in_its_metric():
    assert verdict(SHARED["psnr"], METRICS["psnr"]) == "worse"
    assert verdict(SHARED["fd_judge"], METRICS["fd_judge"]) == "better"
    assert verdict(SHARED["zero_shot"], METRICS["zero_shot"]) == "no difference"
    untold = StudyCell(0.3, None, None, [0.3], -0.1, None, None, [-0.1])
    assert verdict(untold, METRICS["fd_judge"]) == "no difference", "one seed tells nothing"
    page = study_table(record(*STUDY[:2]), ("psnr", "fd_judge"))
    assert page.count("color:var(--bad,inherit)") == 1 == page.count("color:var(--good,inherit)")


def test_sentences_tell_what_differs_and_what_failed():
    shared, lost = outcome_sentences(record(*STUDY))
    assert "PSNR −1.00 dB" in shared and "zero-shot" not in shared and "in part" in shared
    assert "no run was finished: seed 0: it is &lt;nan&gt;." in lost


def test_a_sentence_without_any_interval_says_that_seeds_are_too_few() -> None:
    one = StudyCell(24.0, None, None, [24.0], -1.0, None, None, [-1.0])
    (told,) = outcome_sentences(record(STUDY[0], StudyRow("a", "b", {}, "", {}, {"psnr": one})))
    assert told.endswith("too few seeds for an interval of any difference.")


def test_a_study_of_no_rows_is_a_sentence():
    with pytest.raises(MuseError, match="no rows to show"):
        study_table(record(), ("psnr",))


def test_an_exact_zero_and_a_leak_of_a_variant_look_different():
    rows = [VariantRow("a", "x & y", 1234, 0.0, 99, 1.0), VariantRow("b", "z", 10, 2e-7, 99, 1.25)]
    page = variant_table(rows)
    lines = Reader(page).lines[1:]
    assert lines[0] == ["a", "x & y", "0, exactly", "99", "1,234", "× 1.00"]
    assert lines[1][2:] == ["2.0e-07", "99", "10", "× 1.25"]
    assert page.count("var(--good,inherit)") == 1 == page.count("var(--bad,inherit)")
