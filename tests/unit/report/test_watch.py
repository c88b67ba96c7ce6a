"""``muse watch`` and the notebook's session: a line a stage, and the rows that are there."""

import io
from pathlib import Path

import pytest

from muse_core.cli import main
from muse_core.errors import MuseError
from muse_core.report.watch import record_of, watch
from muse_core.report.watch_session import begin_watch
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
    assert "01_topology_warmup: 3step" in said.getvalue() and "topology=0.3333" in said.getvalue()


def test_the_command_says_a_run_that_is_not_there(
    records: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["watch", "mine", "--seconds", "0"]) == 0
    assert (
        main(["watch", "other"]) == 2
        and "'other' has no records to follow" in capsys.readouterr().err
    )


def test_each_stage_has_its_record(tmp_path: Path) -> None:
    assert record_of(tmp_path, "03_synergistic_tuning") == tmp_path / "stage3.json"
    assert record_of(tmp_path, "08_generation_muse") == tmp_path / "08_generation_muse.json"


def test_a_session_feeds_its_plot(records: Path) -> None:
    session = begin_watch(run="mine", seconds=0, every=1)
    assert session.follow() == 3 and session.lines == ["01_topology_warmup: step 3, finished"]
    assert list(session.plot.picture().panels[0].marks[0].y) == pytest.approx([1, 1 / 2, 1 / 3])
    with pytest.raises(MuseError, match="seconds must be"):
        begin_watch(run="mine", seconds=-1, every=1)
