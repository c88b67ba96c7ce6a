"""One process trains a stage of a run at a time; a second one is told who does.

The lock is a small JSON file beside the stage's folder: process, host, since when. Its owner may
die without a word, so a lock of this host counts only while that very process lives: a process of
the same number that began later is another one."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import psutil
from filelock import FileLock

from muse_core import paths
from muse_core.errors import MuseError
from muse_core.results.records import read_json, write_json
from muse_core.training.learner import Run

SAME_START = 2.0
"""Seconds by which two readings of one process's start may differ."""


@dataclass(frozen=True)
class Owner:
    """Who holds a lock. ``started``: the process's start, seconds since 1970; ``since``: when it
    took the lock.
    """

    pid: int
    host: str
    started: float
    since: str

    @property
    def here(self) -> bool:
        return self.host == socket.gethostname()

    @property
    def alive(self) -> bool:
        """Whether this very process still runs; only its own host can tell."""
        try:
            return abs(psutil.Process(self.pid).create_time() - self.started) < SAME_START
        except psutil.Error:
            return False


def this_process() -> Owner:
    started = psutil.Process().create_time()
    return Owner(
        os.getpid(),
        socket.gethostname(),
        started,
        datetime.now().astimezone().isoformat(timespec="seconds"),
    )


def lock_file(run: Run) -> Path:
    """Beside the stage's folder, because a fresh start sets that aside."""
    return run.folder.with_name(f".{run.folder.name}.lock")


@contextmanager
def run_lock(run: Run) -> Iterator[None]:
    """Hold the run's stage for as long as the block lasts. Raises MuseError when another process
    holds it.

    Under a launcher the first process of all holds it for the others.
    """
    if int(os.environ.get("RANK", "0")) > 0:
        yield
        return
    file, owner = lock_file(run), this_process()
    paths.writable(file.parent)
    _take(file, owner, run)
    try:
        yield
    finally:
        if read_owner(file) == owner:
            file.unlink()


def read_owner(file: Path) -> Owner | None:
    """Who holds the lock; None where there is none, or a damaged one."""
    try:
        return Owner(**read_json(file))
    except (MuseError, TypeError):
        return None


def _take(file: Path, owner: Owner, run: Run) -> None:
    with FileLock(f"{file}.guard"):  # between looking and taking nobody else may do the same
        held = read_owner(file)
        if held is not None:
            _refuse_living(held, file, run)
            print(
                f"{run.stage} of run {run.run!r}: process {held.pid}, which trained it since {held.since}, is gone; "
                "its lock is taken over.",
                file=sys.stderr,
            )
        write_json(file, asdict(owner))


def _refuse_living(held: Owner, file: Path, run: Run) -> None:
    who = f"{run.stage} of run {run.run!r} is locked by process {held.pid} on {held.host} since {held.since}"
    if not held.here:
        raise MuseError(
            f"{who}, and {socket.gethostname()} cannot see whether that still runs: wait for it or use another run name; "
            f"if it is gone, remove {file} and run again."
        )
    if held.alive:
        raise MuseError(
            f"{who}: wait for it, stop it (kill -TERM {held.pid} saves a checkpoint first), "
            "or use another run name."
        )
