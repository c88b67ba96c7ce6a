"""One process trains a stage of a run at a time; a second one is told so."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from muse_core import paths
from muse_core.errors import MuseError


def lock_file(folder: Path) -> Path:
    """Beside the stage's folder, because a fresh start sets that aside."""
    return folder.with_name(f".{folder.name}.lock")


@contextmanager
def run_lock(folder: Path, what: str) -> Iterator[None]:
    """Hold a stage's folder for as long as the block lasts; the lock ends with its process.

    Args:
        folder: The stage's folder.
        what: The stage as a sentence names it.

    Raises:
        MuseError: Another process holds it. Under a launcher the first process holds it for all.
    """
    if int(os.environ.get("RANK", "0")) > 0:
        yield
        return
    paths.writable(folder.parent)
    lock = FileLock(lock_file(folder), timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise MuseError(
            f"{what} is being trained by another process: wait for it, stop it with Ctrl-C (it "
            "saves a checkpoint first), or use another run name."
        ) from error
    try:
        yield
    finally:
        lock.release()
