"""docs/claims.md is what the kept rows say, and its verdicts follow from the numbers."""

from pathlib import Path

import pytest
import yaml

from muse_core.errors import MuseError
from muse_core.report.kept_rows import KeptRow, write_kept
from muse_core.results.measurements import Measurement, Row
from scripts import claims
from scripts.claims import Claim, Figure, Versus


def test_the_page_is_up_to_date() -> None:
    assert claims.PAGE.read_text() == claims.page(), "run python -m scripts.claims"


def test_the_frozen_backbones_zero_shot_is_what_its_rows_of_table_1_have() -> None:
    (said,) = [one.versus.number for one in claims.claims() if "frozen, here" in one.says]
    kept = claims.by_seed("table1", Figure(row="backbone", metric="zero_shot"))
    assert len(kept) == 3 and {round(value, 4) for value in kept.values()} == {said}


def test_a_claim_without_a_study_says_why_or_where() -> None:
    for claim in claims.claims():
        assert bool(claim.study) + bool(claim.untested) + bool(claim.shown and claim.verdict) == 1


@pytest.fixture
def keep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Keeps figures of a row of study "s", one a seed."""
    monkeypatch.setattr(claims, "ROWS", tmp_path)

    def kept(row: str, *values: float, code: str = "a") -> None:
        for seed, value in enumerate(values):
            found = Row(row, "", {"miou": Measurement(value, 1)})
            file = tmp_path / "s" / "rows" / f"{row}.{seed}.json"
            write_kept(file, KeptRow(found, {}, "", {"models": code}, "", 0.0))

    return kept


CLAIM = dict(says="a", where="b", study="s", row="new", metric="miou", versus=Versus(row="old"))


@pytest.mark.parametrize(
    ("values", "margin", "said"),
    [
        ((0.50, 0.52, 0.51, 0.53), 0.0, "supported"),
        ((0.50, 0.52, 0.51, 0.53), 0.05, "supported"),
        ((0.50, 0.52, 0.51, 0.53), 0.20, "refuted here"),
        ((0.50, 0.52, 0.51, 0.53), 0.11, "cannot be decided here"),
        ((0.30, 0.32, 0.31, 0.33), 0.0, "refuted here"),
        ((0.38, 0.44, 0.37, 0.45), 0.0, "cannot be decided here"),
        ((0.50, 0.52), 0.0, "not measured yet"),
    ],
)
def test_a_verdict_needs_the_whole_interval_beyond_the_margin(keep, values, margin, said) -> None:
    keep("new", *values)
    keep("old", *[0.4, 0.41, 0.4, 0.41][: len(values)])
    claim = Claim(**CLAIM, margin=margin)
    found = claims.difference(claim)
    assert claims.verdict(claim, found, found.p if found else None) == said
    if found:
        adjusted = claims.verdict(claim, found, 0.2)
        assert adjusted == "cannot be decided here", "by the adjusted p alone"


def test_lower_is_judged_the_other_way_and_a_number_is_compared_with(keep) -> None:
    keep("new", -0.20, -0.21, -0.22)
    claim = Claim(**CLAIM | {"versus": Versus(number=0)}, wants="lower", margin=0.1)
    found = claims.difference(claim)
    assert found is not None and found.mean == pytest.approx(-0.21)
    assert claims.verdict(claim, found, found.p) == "supported"
    assert claims.verdict(
        Claim(**CLAIM | {"versus": Versus(number=0)}, margin=0.1), found, found.p
    ) == ("refuted here")


def test_a_figure_may_be_a_share_of_what_a_metric_has_in_its_details() -> None:
    details = {"energy": {"semantics": {"W_Q": 0.1, "W_V semantic": 0.3}}}
    found = Row("r", "", {"gradient_cosine": Measurement(-0.1, 1, details=details)})
    kept = KeptRow(found, {}, "", {}, "", 0.0)
    places = [f"energy/semantics/{kind}" for kind in ("W_Q", "W_K", "W_V semantic")]
    share = Figure(metric="gradient_cosine", detail=places[-1:], of=places)
    assert share.of_row(kept) == pytest.approx(0.75)
    assert Figure(metric="gradient_cosine", detail=places[:2]).of_row(kept) == pytest.approx(0.1)
    assert Figure(metric="gradient_cosine").of_row(kept) == -0.1
    assert Figure(metric="psnr", detail=places).of_row(kept) is None
    nothing = Figure(metric="gradient_cosine", detail=places, of=["energy/topology/W_Q"])
    assert nothing.of_row(kept) is None, "a share of nothing"


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("row", "nave", "row of decide"),
        ("metric", "psnrr", "metric"),
        ("study", "decides", "study"),
        ("wants", "more", "claim 0.wants"),
        ("rows", "a", "claim 0.rows"),
        ("detail", ["energy/semantics/W_X"], "detail"),
        ("of", ["energy/semantic/W_Q"], "detail"),
        ("detail", ["energy/semantics"], "detail"),
    ],
)
def test_a_claim_of_nothing_is_refused_in_a_sentence(
    field: str, value: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = CLAIM | {"study": "decide", "row": "naive", "versus": {"number": 0}, field: value}
    file = tmp_path / "claims.yaml"
    file.write_text(yaml.safe_dump([claim]))
    monkeypatch.setattr(claims, "CLAIMS", file)
    with pytest.raises(MuseError, match=said):
        claims.claims()


def test_rows_of_unlike_code_are_said(keep) -> None:
    keep("new", 0.5, 0.5, 0.5)
    keep("old", 0.4, 0.4, 0.4)
    assert not claims.unlike_code(Claim(**CLAIM))
    keep("old", 0.4, 0.4, 0.4, code="b")
    assert claims.unlike_code(Claim(**CLAIM))
