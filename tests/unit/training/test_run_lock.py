"""One process a stage; who comes second is told who was first; the dead hold nothing."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest

from muse_core.errors import MuseError
from muse_core.training.run_lock import lock_file, read_owner, run_lock, this_process

from .small_run import SmallRun


@pytest.fixture
def run(tmp_path) -> SmallRun:
    return SmallRun(tmp_path)


@pytest.fixture
def stranger():
    """A living process that is not this one."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()


def held_by(run, **changes) -> Path:
    file = lock_file(run)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(asdict(replace(this_process(), **changes))))
    return file


def test_it_is_held_inside_the_block_and_gone_after_it(run) -> None:
    with run_lock(run):
        assert read_owner(lock_file(run)).pid == os.getpid()
    assert not lock_file(run).exists()


def test_it_is_released_by_a_failure_too(run) -> None:
    with pytest.raises(MuseError, match="no such data"), run_lock(run):
        raise MuseError("no such data")
    assert not lock_file(run).exists()


def test_a_second_one_is_told_who_holds_it_and_what_to_do(run, stranger) -> None:
    started = psutil.Process(stranger.pid).create_time()
    file = held_by(run, pid=stranger.pid, started=started)
    before = file.read_bytes()
    words = rf"process {stranger.pid} on {socket.gethostname()} since \d{{4}}-.*kill -TERM {stranger.pid}.*another run name"
    with pytest.raises(MuseError, match=words), run_lock(run):
        pytest.fail("it was let in")
    assert file.read_bytes() == before


def test_the_same_process_cannot_hold_it_twice(run) -> None:
    with run_lock(run), pytest.raises(MuseError, match=f"process {os.getpid()}"), run_lock(run):
        pytest.fail("it was let in")


def test_a_dead_owner_holds_nothing(run, stranger, capsys) -> None:
    held_by(run, pid=stranger.pid, started=psutil.Process(stranger.pid).create_time())
    stranger.kill()
    stranger.wait()
    with run_lock(run):
        assert read_owner(lock_file(run)).pid == os.getpid()
    assert f"process {stranger.pid}" in capsys.readouterr().err


def test_a_number_that_another_process_has_by_now_holds_nothing(run, stranger) -> None:
    held_by(run, pid=stranger.pid, started=psutil.Process(stranger.pid).create_time() - 3600)
    with run_lock(run):
        assert read_owner(lock_file(run)).pid == os.getpid()


def test_another_hosts_lock_is_respected_and_says_how_to_remove_it(run) -> None:
    file = held_by(run, host="elsewhere")
    with (
        pytest.raises(MuseError, match=rf"on elsewhere since .*remove {file} and run again"),
        run_lock(run),
    ):
        pytest.fail("it was let in")
    assert file.exists()


@pytest.mark.parametrize("damaged", ["", "{", "[]", '{"pid": 1}'])
def test_a_damaged_lock_is_nobodys(run, damaged) -> None:
    held_by(run).write_text(damaged)
    with run_lock(run):
        assert read_owner(lock_file(run)).pid == os.getpid()


def test_of_many_that_come_at_once_after_a_crash_one_gets_it(run) -> None:
    """Eight threads stand for eight processes: only looking and taking are at stake."""
    from concurrent.futures import ThreadPoolExecutor
    from threading import Barrier

    held_by(run, started=0.0)
    barrier, inside = Barrier(8), []

    def come(_) -> bool:
        barrier.wait()
        try:
            with run_lock(run):
                inside.append(1)
                barrier.wait(timeout=20)
        except MuseError:
            barrier.wait(timeout=20)
        return True

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(come, range(8)))
    assert inside == [1] and not lock_file(run).exists()


def test_the_other_processes_of_a_launcher_leave_it_to_the_first(run, monkeypatch) -> None:
    monkeypatch.setenv("RANK", "1")
    with run_lock(run):
        assert not lock_file(run).exists()
