"""Of the table of bad inputs, the first of each kind and parser is answered by one clear sentence,
and nothing that was made before it changes; `make torture` tries them all.
"""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from muse_core.errors import MuseError
from muse_core.results.records import read_json
from tests.torture.bad_input import BadInput, tried
from tests.torture.bad_inputs import table
from tests.torture.workspace import Desk, Workspace, planted_workspace

TABLE, ROOT = table(), Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with planted_workspace(tmp_path_factory.mktemp("bad-inputs")) as planted:
        yield planted


@pytest.mark.parametrize("group", TABLE)
def test_it_is_one_clear_sentence_and_nothing_is_lost(workspace: Workspace, group: str) -> None:
    verdict = tried(group, TABLE[group][0], workspace)
    assert not verdict.why, f"{verdict.name}: {verdict.why}: {verdict.said}"


@pytest.mark.long
def test_so_is_every_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process whose shapes nobody checks, as a user's."""
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))
    subprocess.run([sys.executable, "-m", "tests.torture", "inputs"], check=True, cwd=ROOT)
    found = read_json(tmp_path / "reports" / "torture" / "torture.json")
    assert found["unclear"] == [] and found["bad_inputs"] >= 440


def test_the_table_is_large_and_no_row_stands_twice() -> None:
    rows = [(group, row) for group, rows in TABLE.items() for row in rows]
    assert len({(group, row.name, row.names) for group, row in rows}) == len(rows) >= 220
    assert all(row.names and row.fix for _, row in rows)


def refuse(desk: Desk) -> None:
    raise MuseError("The value 'x' is wrong here: give another one.")


GOOD = BadInput("good", "'x'", "give another one", refuse)


def raise_value_error(desk: Desk) -> None:
    raise ValueError("The value 'x' is wrong here: give another one.")


def overwrite(desk: Desk) -> None:
    (desk.workspace.root.parent / "elsewhere.txt").write_text("gone")
    refuse(desk)


def leave_something(desk: Desk) -> None:
    (desk.workspace.root / "reports" / "half").mkdir(parents=True)
    refuse(desk)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (GOOD, ""),
        (replace(GOOD, names="'y'"), "it does not mention"),
        (replace(GOOD, fix="ask somebody"), "it does not say"),
        (replace(GOOD, act=lambda desk: None), "the bad input was accepted"),
        (replace(GOOD, act=lambda desk: 0), "the bad input was accepted"),
        (replace(GOOD, act=lambda desk: 2), "the exit code has no sentence"),
        (replace(GOOD, act=raise_value_error), "a bare ValueError"),
        (replace(GOOD, act=overwrite), "it changed elsewhere.txt"),
        (replace(GOOD, act=leave_something), "it changed workspace/reports"),
    ],
)
def test_the_trial_sees_what_is_wrong(tmp_path, row: BadInput, why: str) -> None:
    (tmp_path / "workspace").mkdir()
    (tmp_path / "elsewhere.txt").write_text("kept")
    assert tried("trial", row, Workspace(tmp_path / "workspace")).why.startswith(why)
