"""Following a run that another process trains: new rows only, half a line waited for, an end when
the record is there.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from muse_core.errors import MuseError
from muse_core.results.metrics_tail import StageFollower, followed, losses_of, updates
from muse_core.results.records import RowReader, append_jsonl

WRITER = """
import json, sys, time
file, record = sys.argv[1:]
for step in range(1, 9):
    line = json.dumps({"step": step, "loss/total": 1 / step}) + "\\n"
    with open(file, "a") as opened:
        opened.write(line[:7]); opened.flush(); time.sleep(0.02)
        opened.write(line[7:])
    time.sleep(0.03)
open(record, "w").write("{}")
"""


def follower(folder: Path, name: str = "01_a") -> StageFollower:
    return StageFollower(name, RowReader(folder / f"{name}.jsonl"), folder / "stage1.json")


def test_it_follows_another_process_to_its_end(tmp_path: Path) -> None:
    one, seen = follower(tmp_path), []
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(one.reader.path), str(one.record)]
    )
    for each in updates(lambda: [one], seconds=60.0, every=0.02):
        seen.append(len(each.rows))
    assert process.wait(10) == 0
    assert [row["step"] for row in one.rows] == list(range(1, 9)) and one.finished
    assert seen == sorted(set(seen)) and len(seen) > 1, (
        "the rows came in one piece: nothing was followed"
    )


def test_half_a_line_is_waited_for(tmp_path: Path) -> None:
    one = follower(tmp_path)
    one.reader.path.write_text('{"step": 1, "loss/a": 2.0}\n{"step": 2, "lo')
    assert [row["step"] for row in one.update()] == [1] and one.update() == []
    with one.reader.path.open("a") as file:
        file.write('ss/a": 1.0}\n')
    assert one.update() == [{"step": 2, "loss/a": 1.0}] and losses_of(one.rows) == ["loss/a"]


def test_the_run_is_not_touched(tmp_path: Path) -> None:
    append_jsonl(tmp_path / "01_a.jsonl", [{"step": 1}])
    tmp_path.chmod(0o555)
    before = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    try:
        list(updates(lambda: followed(tmp_path), seconds=0.0))
    finally:
        tmp_path.chmod(0o755)
    assert {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == before


def test_a_stage_that_goes_back_to_its_checkpoint_forgets_the_rows_after_it(tmp_path: Path) -> None:
    one = follower(tmp_path)
    append_jsonl(one.reader.path, [{"step": step, "try": 1} for step in range(1, 6)])
    one.update()
    one.reader.path.unlink()
    append_jsonl(
        one.reader.path, [{"step": 1, "try": 1}, {"step": 2, "try": 1}, {"step": 3, "try": 2}]
    )
    one.update()
    assert [(row["step"], row["try"]) for row in one.rows] == [(1, 1), (2, 1), (3, 2)]


def test_a_record_of_an_earlier_training_is_no_end(tmp_path: Path) -> None:
    one = follower(tmp_path)
    one.record.write_text("{}")
    os.utime(one.record, (1, 1))
    append_jsonl(one.reader.path, [{"step": 1}])
    assert not one.finished
    began = time.monotonic()
    list(updates(lambda: [one], seconds=0.2, every=0.05))
    assert 0.15 < time.monotonic() - began < 5


def test_gradients_are_no_stage_and_no_records_are_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "geometry_01_a.jsonl").write_text(json.dumps({"step": 1}) + "\n")
    with pytest.raises(MuseError, match=f"The run '{tmp_path.name}' has no records to follow"):
        followed(tmp_path / "records")
