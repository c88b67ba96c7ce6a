"""Stopping between steps: a signal that arrives in the middle of an update waits until the update
is whole.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Ctrl-C or a stopped notebook kernel; a scheduler that takes the machine back."""

FOLDER_VARIABLE, ASKER_VARIABLE = "MUSE_LAUNCH_FOLDER", "MUSE_LAUNCH_ASKER"
"""In a process that `training.launch` started: where it meets the one that waits, and that one's
pid.
"""
STOP = "stop"
"""The file there that asks for a checkpoint and an end."""


@contextmanager
def deferred_interrupts() -> Iterator[threading.Event]:
    """An event that the first SIGINT or SIGTERM sets; a second one acts at once. Elsewhere than in
    the main thread, idle.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def note(number: int, frame: object) -> None:
        asked.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in SIGNALS:
        signal.signal(number, note)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def asker_wants_stop() -> bool:
    """In a started process: whether the one that waits wants it to stop, or is gone."""
    folder, asker = os.environ.get(FOLDER_VARIABLE), os.environ.get(ASKER_VARIABLE)
    return folder is not None and ((Path(folder) / STOP).exists() or not _lives(int(asker or 0)))


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
