"""``muse watch``: a line a stage, and a sentence for a run that is not there."""

import io
from pathlib import Path

import pytest

from muse_core.cli import main
from muse_core.errors import MuseError
from muse_core.report.watch import watch
from muse_core.results.records import append_jsonl, write_json


@pytest.fixture
def records(workspace: Path) -> Path:
    folder = workspace / "reports" / "mine" / "records"
    append_jsonl(
        folder / "01_topology_warmup.jsonl",
        [{"step": step, "loss/topology": 1 / step} for step in (1, 2, 3)],
    )
    write_json(folder / "stage1.json", {})
    return folder


def test_a_finished_run_is_seen_and_left(records: Path) -> None:
    said = io.StringIO()
    assert watch("mine", file=said) == 3
    assert "01_topology_warmup: 3step" in said.getvalue() and "topology=0.333" in said.getvalue()


def test_the_command_says_a_run_that_is_not_there(
    records: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["watch", "mine", "--seconds", "0"]) == 0
    assert (
        main(["watch", "other"]) == 2
        and "'other' has no records to follow" in capsys.readouterr().err
    )


def test_a_stage_that_goes_on_is_followed_until_its_record_is_there(records: Path) -> None:
    append_jsonl(records / "08_generation_muse.jsonl", [{"step": 1, "loss/flow": 1.0}])
    assert watch("mine", 0.0, io.StringIO()) == 4
    write_json(records / "08_generation_muse.json", {})
    assert watch("mine", file=io.StringIO()) == 4


def test_a_time_below_zero_is_a_sentence(records: Path) -> None:
    with pytest.raises(MuseError, match="0 or more"):
        watch("mine", -1.0)
