"""The index: newest run first, honest states, key numbers from records, tolerance of what is
missing.
"""

import json
import shutil
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_output

from muse_core.report import index
from muse_core.report.html import external_requests
from muse_core.report.stamps import page_key
from muse_core.results.measurements import Comparison, Measurement

from .conftest import Writer
from .executed import FINAL, SHARED, executed_copy, picture, write_evaluation


def test_runs_come_newest_first(write_notebook: Writer) -> None:
    source = write_notebook("00_a")
    executed_copy(source, "old")
    executed_copy(source, "new", date="2026-02-01T10:00:00+00:00")
    assert [run.name for run in index.summaries()] == ["new", "old"]


def test_each_notebook_says_its_title_claim_state_and_minutes(write_notebook: Writer) -> None:
    executed_copy(
        write_notebook("00_a", title="Foundations", claim="The **parts** are [sane](x.md)."),
        "smoke",
    )
    (row,) = index.summaries()[0].notebooks
    assert (row.title, row.claim, row.state) == ("Foundations", "The parts are sane.", "done")
    assert "1.5 min" in index.write().read_text()


def test_a_changed_source_is_stale_and_a_failure_says_why(write_notebook: Writer) -> None:
    executed_copy(write_notebook("00_a"), "smoke")
    executed_copy(write_notebook("01_b"), "smoke", status="failed", error="No <checkpoint>.")
    write_notebook("00_a", "print('changed')")
    assert [row.state for row in index.summaries()[0].notebooks] == ["stale", "failed"]
    assert "No &lt;checkpoint&gt;." in index.write().read_text()


def test_an_unstamped_notebook_is_unfinished(workspace: Path) -> None:
    folder = workspace / "reports" / "cut"
    folder.mkdir(parents=True)
    nbformat.write(nbformat.v4.new_notebook(), folder / "00_a.ipynb")
    assert index.summaries()[0].notebooks[0].state == "unfinished"


@pytest.mark.parametrize(
    "record", ["[]", "{}", '{"losses": [1], "held_out": 3, "seconds": "x"}', '{"losses": {"a": 1}}']
)
def test_odd_records_are_tolerated(write_notebook: Writer, workspace: Path, record: str) -> None:
    executed_copy(write_notebook("00_a"), "smoke")
    (workspace / "reports/smoke/records").mkdir()
    (workspace / "reports/smoke/records/stage1.json").write_text(record)
    assert "MUSE reports" in index.write().read_text()


def test_each_card_has_its_picture_or_a_plain_tile(write_notebook: Writer) -> None:
    executed_copy(write_notebook("00_a", "1"), "smoke", picture("A red <tile>."))
    executed_copy(write_notebook("01_b", "1"), "smoke")
    page = index.write().read_text()
    assert page.count("<img ") == 1 and 'alt="A red &lt;tile&gt;."' in page
    assert '<div class="cover none" aria-hidden="true">01</div>' in page
    assert external_requests(page) == []


def test_a_card_says_what_its_notebook_concludes_first(write_notebook: Writer) -> None:
    said = new_output("display_data", data={"text/html": "<p>It is <b>3 &lt; 4</b>.</p><p>So.</p>"})
    executed_copy(write_notebook("05_a", "learned(found)"), "smoke", said)
    page = index.write().read_text()
    assert '<p class="found">It is 3 &lt; 4.</p>' in page and "So." not in page


def test_the_pages_worth_looking_at_first_are_linked_from_the_run_that_shows_them_best(
    write_notebook: Writer,
) -> None:
    for stem, run in (("04_a", "tiny"), ("07_a", "tiny"), ("07_a", "ablations")):
        executed_copy(write_notebook(stem), run)
    executed_copy(write_notebook("05_a"), "tiny", status="failed", error="No.")
    found = [row.link for _, row in index.look_first(index.summaries())]
    assert found == ["tiny/04_a.ipynb", "ablations/07_a.ipynb"]


def test_headline_numbers_stand_with_unit_interval_and_baseline(
    write_notebook: Writer, workspace: Path
) -> None:
    executed_copy(write_notebook("00_a"), "smoke")
    write_evaluation(
        workspace / "reports/smoke",
        Comparison("psnr", FINAL, SHARED, 1.0, 0.5, 1.5),
        final={"psnr": Measurement(26.54, low=26.4, high=26.7)},
        shared={"psnr": Measurement(25.5)},
    )
    page = index.write().read_text()
    for words in (
        "26.5<small>&nbsp;dB",
        "26.4 to 26.7",
        "better than shared routing (25.5&nbsp;dB)",
        "1,000 test images",
    ):
        assert words in page


def test_the_stages_of_a_run_stand_in_a_table(write_notebook: Writer, workspace: Path) -> None:
    executed_copy(write_notebook("00_a"), "smoke")
    (workspace / "reports/smoke/records").mkdir()
    stage = {"steps": 1440, "seconds": 90, "losses": {"topology": {"first": 1.2, "last": -0.31}}}
    stage |= {"held_out": {"psnr": 21.0, "zero_shot": 0.5}}
    (workspace / "reports/smoke/records/stage1.json").write_text(json.dumps(stage))
    page = " ".join(index.write().read_text().split())
    for words in (
        "1 · Topology",
        "1,440",
        "topology 1.2 → −0.31",
        "PSNR 21.00 dB, zero-shot 50.0%",
    ):
        assert words in page


def test_a_stale_page_says_what_that_means(write_notebook: Writer) -> None:
    executed_copy(write_notebook("00_a"), "smoke", key="another")
    page = index.write().read_text()
    assert "the notebook changed since this page was made" in page
    executed_copy(write_notebook("00_a"), "smoke")
    assert "changed since" not in index.write().read_text()


def test_an_empty_workspace_has_an_index_that_says_how_to_begin(workspace: Path) -> None:
    assert "muse run all" in index.write().read_text()


def test_the_page_is_made_again_when_something_that_it_shows_has_changed(
    write_notebook: Writer, workspace: Path, monkeypatch
) -> None:
    source = write_notebook("00_a")
    executed_copy(source, "smoke")
    page = index.write()
    made, calls, rendered = page.read_text(), [], index.render
    monkeypatch.setattr(index, "render", lambda *a, **b: calls.append(1) or rendered(*a, **b))
    assert index.write().read_text() == made and not calls
    records = workspace / "reports/smoke/records"
    records.mkdir()
    alone = workspace / "reports/smoke-shared/records"
    alone.mkdir(parents=True)
    changes = (
        lambda: write_notebook("00_a", "print('changed')"),
        lambda: executed_copy(source, "another"),
        lambda: (records / "stage1.json").write_text("{}"),
        lambda: (records / "stage1.json").write_text("[]"),
        lambda: (alone / "stage1.json").write_text("{}"),
        lambda: shutil.rmtree(workspace / "reports/another"),
        lambda: page.write_bytes("cut shört".encode()[:-2]),
        page.unlink,
    )
    for count, change in enumerate(changes, 1):
        change()
        index.write()
        assert len(calls) == count


def test_a_preset_file_that_changed_makes_the_page_again(
    write_notebook: Writer, workspace: Path
) -> None:
    mine = workspace / "mine.yaml"
    mine.write_text("extends: tiny")
    source, given = write_notebook("00_a"), {"preset": str(mine)}
    key = page_key(source, given, workspace / "reports/smoke")
    executed_copy(source, "smoke", parameters=given, key=key)
    page = index.write().read_text()
    assert "the notebook changed since" not in page
    mine.write_text("extends: tiny\nimage_size: 32")
    assert "the notebook changed since" in index.write().read_text()
