"""A signal waits for the end of a step; a second one does not."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from muse_core.training.interrupts import deferred_interrupts


@pytest.fixture
def ctrl_c_raises() -> Iterator[None]:
    """Python's own handler, also where the tests run in the background and were started with SIGINT
    ignored.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_only_sets_the_event(number: int) -> None:
    before = signal.getsignal(number)
    with deferred_interrupts() as asked:
        os.kill(os.getpid(), number)
        assert asked.wait(timeout=5)
    assert signal.getsignal(number) is before


def test_a_second_interrupt_acts_at_once(ctrl_c_raises) -> None:
    with pytest.raises(KeyboardInterrupt), deferred_interrupts() as asked:
        os.kill(os.getpid(), signal.SIGINT)
        assert asked.wait(timeout=5)
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait(5)


def test_outside_the_main_thread_nothing_is_installed() -> None:
    seen = []

    def work() -> None:
        with deferred_interrupts() as asked:
            seen.append(asked.is_set())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]
