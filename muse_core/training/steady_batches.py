"""The batches of a stage, whatever happens to the loader's workers, and how long the training
waited for them.

The order of samples is a pure function of the step, so a loader made again at the step where a
worker died goes on exactly."""

import re
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from muse_core.errors import MuseError
from muse_core.training.metrics_logger import Journal

RETRIES = 3
"""Loaders made again, one after the other without a batch between them, before the stage stops."""

DEATH = re.compile(r"DataLoader worker \(pid")
"""How torch's sentence for a worker that vanished begins."""

FROM_A_WORKER = re.compile(r"^Caught MuseError in DataLoader worker.*\n(?:.*\n)*.*MuseError: ")
"""What torch puts before a sentence that a worker raised."""


class WorkersDied(Exception):
    """Loader after loader lost a worker; nothing of the training is lost."""


class SteadyBatches:
    """``load(step)`` gives the batches from a step on; the waiting and the deaths of workers go
    into the journal.
    """

    def __init__(self, load: Callable[[int], Iterable[Any]], start: int, journal: Journal) -> None:
        self.load, self.step, self.journal = load, start, journal

    def __iter__(self) -> Iterator[Any]:
        """Raises WorkersDied, and MuseError as one sentence also where a worker raised it."""
        batches, in_a_row = None, 0
        while True:
            began = time.monotonic()
            try:
                batches = batches or _iterator(self.load(self.step))
                batch = next(batches)
            except StopIteration:
                return
            except MuseError as error:
                raise MuseError(FROM_A_WORKER.sub("", str(error)).strip()) from error
            except RuntimeError as error:
                if not DEATH.search(str(error)):
                    raise
                self.journal.workers_died += 1
                in_a_row, batches = in_a_row + 1, None
                if in_a_row > RETRIES:
                    raise WorkersDied(str(error)) from error
                continue
            finally:
                self.journal.waited += time.monotonic() - began
            yield batch
            self.step, in_a_row = self.step + 1, 0


def _iterator(batches: Iterable[Any]) -> Iterator[Any]:
    """Without torch's handler, which raises wherever the main thread stands when a worker dies,
    also in the middle of an update; the loader notices by itself, between two steps, at most five
    seconds later."""
    made = iter(batches)
    handler = signal.getsignal(signal.SIGCHLD) if hasattr(signal, "SIGCHLD") else None
    if threading.current_thread() is threading.main_thread() and "torch" in str(
        getattr(handler, "__module__", "")
    ):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    return made
