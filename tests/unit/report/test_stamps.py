"""What an executed notebook says about itself, and when it is stale."""

from pathlib import Path

import nbformat

from muse_core.report.stamps import page_key, state, title_and_claim
from muse_core.results.records import write_json

from .conftest import Writer
from .executed import executed_copy


def test_a_page_is_fresh_until_its_notebook_changes(write_notebook: Writer) -> None:
    report = executed_copy(write_notebook("00_a", "1"), "smoke")
    assert state(report) == "done"
    write_notebook("00_a", "2")
    assert state(report) == "stale"


def test_outputs_and_counts_do_not_make_a_page_stale(write_notebook: Writer) -> None:
    source = write_notebook("00_a", "1")
    report = executed_copy(source, "smoke")
    notebook = nbformat.read(source, as_version=4)
    notebook.cells[-1].outputs = [nbformat.v4.new_output("stream", text="1")]
    nbformat.write(notebook, source)
    assert state(report) == "done"


def test_a_page_is_stale_when_an_earlier_notebook_was_made_anew(write_notebook: Writer) -> None:
    executed_copy(write_notebook("00_a"), "smoke")
    report = executed_copy(write_notebook("01_b"), "smoke")
    executed_copy(write_notebook("00_a", "changed"), "smoke")
    assert state(report) == "stale"


def test_a_page_is_stale_when_a_stage_it_reads_was_trained_again(
    workspace: Path, write_notebook: Writer
) -> None:
    source, run = write_notebook("02_c"), workspace / "reports/smoke"
    before = page_key(source, {}, run)
    write_json(run / "records/stage3.json", {"steps": 1})
    assert page_key(source, {}, run) == before
    write_json(run / "records/stage1.json", {"steps": 1})
    once = page_key(source, {}, run)
    write_json(run / "records/stage1.json", {"steps": 2})
    assert len({before, once, page_key(source, {}, run)}) == 3


def test_a_failure_keeps_its_word_and_a_page_cut_short_has_none(
    workspace: Path, write_notebook: Writer
) -> None:
    assert state(executed_copy(write_notebook("00_a"), "smoke", status="failed")) == "failed"
    nbformat.write(nbformat.v4.new_notebook(), workspace / "reports/smoke/01_b.ipynb")
    assert state(workspace / "reports/smoke/01_b.ipynb") == "unfinished"


def test_the_claim_loses_its_marks() -> None:
    text = "# The *title*\n\n**Claim.** $W_Q$ and $\\mathcal{L}_{topo}$ with `code`\nand more.\n\nNext."
    notebook = {"cells": [{"cell_type": "markdown", "source": text}]}
    assert title_and_claim(notebook, "x") == (
        "The title",
        "Claim. W_Q and L_topo with code and more.",
    )


def test_a_long_claim_ends_with_a_sentence() -> None:
    text = "# T\n\nA sentence. " + "word " * 100
    assert title_and_claim({"cells": [{"cell_type": "markdown", "source": text}]}, "")[1] == (
        "A sentence."
    )
