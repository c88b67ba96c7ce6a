"""One run in one object: provenance that admits differences, claims that end with a full stop."""

import json
from pathlib import Path

import pytest

from muse_core.report import freshness
from muse_core.report.run_summary import summary, whole_sentences

from .conftest import Writer
from .executed import executed_copy, picture


@pytest.fixture(autouse=True)
def _quiet_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freshness, "package_sha", lambda: "package")


def test_provenance_names_what_differs_between_notebooks(
    write_notebook: Writer, workspace: Path
) -> None:
    executed_copy(write_notebook("00_a"), "tiny", preset="none")
    executed_copy(write_notebook("01_b"), "tiny", commit="def", date="2026-01-02T10:00:00+00:00")
    (workspace / "reports/tiny/records").mkdir()
    (workspace / "reports/tiny/records/stage1.json").write_text(json.dumps({"data": "scenes"}))
    facts = summary(workspace / "reports/tiny", "package").facts
    expected = {"Preset": "tiny", "Data": "the drawn scenes", "Commit": "abc, def", "Device": "cpu"}
    assert dict(facts) == expected | {"Date": "2026-01-02 10:00 UTC"}


def test_a_row_leads_to_its_page_once_there_is_one(write_notebook: Writer, workspace: Path) -> None:
    report = executed_copy(write_notebook("00_a", "1"), "tiny", picture("A tile."))
    assert summary(workspace / "reports/tiny", "package").notebooks[0].link == "tiny/00_a.ipynb"
    report.with_suffix(".html").write_text("page")
    (row,) = summary(workspace / "reports/tiny", "package").notebooks
    assert (row.link, row.picture.alt, row.stem) == ("tiny/00_a.html", "A tile.", "00_a")


def test_states_are_explained_once_each(write_notebook: Writer, workspace: Path) -> None:
    executed_copy(write_notebook("00_a"), "tiny")
    executed_copy(write_notebook("01_b"), "tiny", key="another")
    executed_copy(write_notebook("02_c"), "tiny", key="another")
    assert [state for state, _ in summary(workspace / "reports/tiny", "package").states] == [
        "stale"
    ]


@pytest.mark.parametrize(
    ("claim", "shown"),
    [
        ("One. Two is cut …", "One."),
        ("No full stop, and cut …", "No full stop, and cut …"),
        ("One. Two.", "One. Two."),
        ("", ""),
    ],
)
def test_a_claim_that_was_cut_ends_with_its_last_sentence(claim: str, shown: str) -> None:
    assert whole_sentences(claim) == shown
