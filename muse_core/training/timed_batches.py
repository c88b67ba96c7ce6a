"""The batches of a stage and how long it waited for them; a loader's faults as plain exceptions."""

import re
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

from muse_core.errors import MuseError
from muse_core.training.metrics_logger import MetricsLogger

DEATH = re.compile(r"DataLoader worker \(pid")
"""How torch's sentence for a worker that vanished begins."""

FROM_A_WORKER = re.compile(r"^Caught MuseError in DataLoader worker.*\n(?:.*\n)*.*MuseError: ")
"""What torch puts before a sentence that a worker raised."""


class WorkerDied(Exception):
    """A process that reads data is gone; nothing of the training is lost."""


def timed_batches(loader: Iterable[Any], logger: MetricsLogger) -> Iterator[Any]:
    """The loader's batches; the waiting is added to ``logger.waited``.

    Raises:
        WorkerDied: A worker vanished.
        MuseError: One sentence, also where a worker raised it.
    """
    began = time.monotonic()
    batches = _iterator(loader)
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except MuseError as error:
            raise MuseError(FROM_A_WORKER.sub("", str(error)).strip()) from error
        except RuntimeError as error:
            if DEATH.search(str(error)):
                raise WorkerDied(str(error)) from error
            raise
        finally:
            logger.waited += time.monotonic() - began
        yield batch
        began = time.monotonic()


def _iterator(loader: Iterable[Any]) -> Iterator[Any]:
    """Without torch's handler, which raises wherever the main thread stands when a worker dies,
    also in the middle of an update; the loader notices by itself between two steps.
    """
    made = iter(loader)
    handler = signal.getsignal(signal.SIGCHLD) if hasattr(signal, "SIGCHLD") else None
    torchs = "torch" in str(getattr(handler, "__module__", ""))
    if torchs and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    return made
