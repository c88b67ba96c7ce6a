"""One process a stage; who comes second is told so; the dead hold nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from muse_core.errors import MuseError
from muse_core.training.run_lock import run_lock

HOLDS = """
import sys, pathlib
from muse_core.training.run_lock import run_lock
with run_lock(pathlib.Path(sys.argv[1]), "it"):
    print("held", flush=True)
    input()
"""


@pytest.fixture
def stranger(tmp_path: Path):
    """A living process that holds the lock of ``tmp_path / stage``."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path / "stage")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_it_is_held_inside_the_block_and_free_after_it_also_after_a_failure(tmp_path: Path) -> None:
    with run_lock(tmp_path / "stage", "it"):
        pass
    with pytest.raises(MuseError, match="no such data"), run_lock(tmp_path / "stage", "it"):
        raise MuseError("no such data")
    with run_lock(tmp_path / "stage", "it"):
        pass


def test_a_second_one_is_told_what_to_do_until_the_first_is_gone(tmp_path: Path, stranger) -> None:
    words = "01 of run 'a' is being trained by another process: wait for it.*another run name"
    with pytest.raises(MuseError, match=words), run_lock(tmp_path / "stage", "01 of run 'a'"):
        pytest.fail("it was let in")
    stranger.kill()
    stranger.wait()
    with run_lock(tmp_path / "stage", "it"):
        pass


def test_the_other_processes_of_a_launcher_leave_it_to_the_first(
    tmp_path: Path, stranger, monkeypatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    with run_lock(tmp_path / "stage", "it"):
        pass
