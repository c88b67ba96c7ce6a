"""The index: newest run first, honest states, key numbers from records, tolerance of what is missing."""

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

from muse_core.reporting import freshness, index
from muse_core.reporting.stamps import Stamp, title_and_claim, write_stamp

from .conftest import Writer


@pytest.fixture(autouse=True)
def _quiet_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freshness, "package_sha", lambda: "package")


def report(source: Path, run: str, **changes: Any) -> Path:
    """An executed copy of a source notebook with a stamp that fits it."""
    path = source.parents[1] / "reports" / run / source.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(source.read_bytes())
    values = {"status": "done", "run": run, "commit": "abc", "preset": "tiny", "device": "cpu", "seconds": 90.0}
    values |= {"date": "2026-01-01T10:00:00+00:00", "key": freshness.key(source, {}, "", "package")}
    write_stamp(path, Stamp(**values | changes))
    return path


def test_runs_come_newest_first(write_notebook: Writer) -> None:
    source = write_notebook("00_a")
    report(source, "old")
    report(source, "new", date="2026-02-01T10:00:00+00:00")
    assert [run.name for run in index.summaries()] == ["new", "old"]


def test_each_notebook_says_its_title_claim_state_and_minutes(write_notebook: Writer) -> None:
    report(write_notebook("00_a", title="Foundations", claim="The **parts** are [sane](x.md)."), "smoke")
    (row,) = index.summaries()[0].notebooks
    assert (row.title, row.claim, row.state, row.minutes) == ("Foundations", "The parts are sane.", "done", "1.5")


def test_a_changed_source_is_stale_and_a_failure_says_why(write_notebook: Writer) -> None:
    report(write_notebook("00_a"), "smoke")
    report(write_notebook("01_b"), "smoke", status="failed", error="No <checkpoint>.")
    write_notebook("00_a", "print('changed')")
    assert [row.state for row in index.summaries()[0].notebooks] == ["stale", "failed"]
    assert "No &lt;checkpoint&gt;." in index.write().read_text()


def test_an_unstamped_notebook_is_unfinished(workspace: Path) -> None:
    folder = workspace / "reports" / "cut"
    folder.mkdir(parents=True)
    nbformat.write(nbformat.v4.new_notebook(), folder / "00_a.ipynb")
    assert index.summaries()[0].notebooks[0].state == "unfinished"


def test_key_numbers_come_from_the_records(write_notebook: Writer, workspace: Path) -> None:
    report(write_notebook("00_a"), "smoke")
    records = workspace / "reports/smoke/records"
    records.mkdir()
    record = {"stage": 3, "steps": 1200, "seconds": 90, "images_per_second": 210.44}
    record |= {"losses": {"topology": {"first": 1.2, "last": 0.31}}, "held_out": {"psnr": 21.345, "zero_shot": 0.713}}
    (records / "stage3.json").write_text(json.dumps(record))
    (records / "stage1.json").write_text("{broken")
    (row,) = index.summaries()[0].stages
    assert (row.steps, row.minutes, row.speed) == ("1,200", "1.5", "210.4")
    assert row.losses == ["topology 1.2 → 0.31"]
    assert row.held_out == "PSNR 21.34 dB, zero-shot 71.3%"


@pytest.mark.parametrize(
    "record", ["[]", "{}", '{"losses": [1], "held_out": 3, "seconds": "x"}', '{"losses": {"a": 1}}']
)
def test_odd_records_are_tolerated(write_notebook: Writer, workspace: Path, record: str) -> None:
    report(write_notebook("00_a"), "smoke")
    (workspace / "reports/smoke/records").mkdir()
    (workspace / "reports/smoke/records/stage1.json").write_text(record)
    assert "MUSE reports" in index.write().read_text()


def test_an_empty_workspace_has_an_index_that_says_how_to_begin(workspace: Path) -> None:
    assert "muse run all" in index.write().read_text()


def test_the_claim_loses_its_marks() -> None:
    text = "# The *title*\n\n**Claim.** $W_Q$ and $\\mathcal{L}_{topo}$ with `code`\nand more.\n\nNext paragraph."
    notebook = {"cells": [{"cell_type": "markdown", "source": text}]}
    assert title_and_claim(notebook, "x") == ("The title", "Claim. W_Q and L_topo with code and more.")
