"""Every bad input of the table is answered by one clear sentence, and nothing that was made before
it changes.
"""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from muse_core.errors import MuseError
from torture.bad_input import BadInput, Desk, tried
from torture.bad_inputs import TABLE
from torture.workspace import Workspace, planted_workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with planted_workspace(tmp_path_factory.mktemp("bad-inputs")) as planted:
        yield planted


@pytest.mark.parametrize(
    "row", TABLE, ids=lambda row: row.name[:90].encode("ascii", "replace").decode()
)
def test_it_is_one_clear_sentence_and_nothing_is_lost(workspace: Workspace, row: BadInput) -> None:
    verdict = tried(row, workspace)
    assert not verdict.why, f"{row.does}: {verdict.why}: {verdict.said}"


def test_the_table_is_large_and_no_row_stands_twice() -> None:
    assert len({row.name for row in TABLE}) == len(TABLE) >= 500
    assert all(row.names and row.fix for row in TABLE)


def refuse(desk: Desk) -> None:
    raise MuseError("The value 'x' is wrong here: give another one.")


GOOD = BadInput("good", "is refused", "'x'", "give another one", refuse)


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
    assert tried(row, Workspace(tmp_path / "workspace")).why.startswith(why)
