"""A loader that loses its workers goes on at the step it was at; what it costs and how long it
waited is known.
"""

import os
import signal
import time
from multiprocessing import active_children
from pathlib import Path

import pytest

from muse_core.data.loader import training_batches
from muse_core.errors import MuseError
from muse_core.training.metrics_logger import Journal
from muse_core.training.steady_batches import RETRIES, SteadyBatches, WorkersDied

from .small_run import SmallRun


class Numbers:
    """Batches of their own positions; position ``deadly`` kills its reader as often as ``times``
    says.
    """

    def __init__(self, folder: Path, deadly: int = -1, times: int = 0, refused: int = -1) -> None:
        self.folder, self.deadly, self.times, self.refused = folder, deadly, times, refused

    def __len__(self) -> int:
        return 24

    def __getitems__(self, indices: list[int]) -> list[int]:
        if self.refused in indices:
            raise MuseError("The image 7.png cannot be read: replace it.")
        if self.deadly in indices and len(list(self.folder.iterdir())) < self.times:
            (self.folder / str(time.monotonic_ns())).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return indices


pytestmark = pytest.mark.usefixtures("impatient_loader")


def journal() -> Journal:
    return Journal(SmallRun(Path("unused")))


def steady(numbers: Numbers, notes: Journal, start: int = 0, workers: int = 2) -> SteadyBatches:
    return SteadyBatches(
        lambda first: training_batches(numbers, 4, 5, first, 12, workers=workers), start, notes
    )


@pytest.mark.parametrize("times", [1, 2])
def test_after_a_death_the_same_batches_come_in_the_same_order(tmp_path, times) -> None:
    undisturbed, notes = list(steady(Numbers(tmp_path), journal(), workers=0)), journal()
    assert list(steady(Numbers(tmp_path, deadly=7, times=times), notes)) == undisturbed
    assert notes.workers_died == times


def test_deaths_without_end_stop_at_the_step_where_they_happen(tmp_path) -> None:
    notes, seen = journal(), []
    expected = list(steady(Numbers(tmp_path), journal(), workers=0))
    with pytest.raises(WorkersDied, match="DataLoader worker"):
        seen.extend(steady(Numbers(tmp_path, deadly=7, times=100), notes))
    with pytest.raises(WorkersDied):
        for batch in steady(Numbers(tmp_path, deadly=7, times=100), journal()):
            seen.append(batch)
    assert seen == expected[: len(seen)] and 7 in expected[len(seen)]
    assert notes.workers_died == RETRIES + 1


def test_a_sentence_from_a_worker_stays_one_sentence(tmp_path) -> None:
    with pytest.raises(MuseError) as caught:
        list(steady(Numbers(tmp_path, refused=7), journal()))
    assert str(caught.value) == "The image 7.png cannot be read: replace it."


def test_another_error_is_not_taken_for_a_death(tmp_path) -> None:
    def broken(step: int):
        raise RuntimeError("shapes differ")
        yield

    with pytest.raises(RuntimeError, match="shapes differ"):
        list(SteadyBatches(broken, 0, journal()))


def test_no_exception_falls_into_the_middle_of_a_step(tmp_path) -> None:
    """A worker that dies while the step computes is noticed by the loader, not by the step."""
    numbers, notes = Numbers(tmp_path), journal()
    plain = list(steady(numbers, journal(), workers=0))
    others, seen = set(active_children()), []
    for batch in steady(numbers, notes):
        seen.append(batch)
        if len(seen) == 2:
            victim = (set(active_children()) - others).pop()
            os.kill(victim.pid, signal.SIGKILL)
            victim.join(5)
            sum(range(100_000))  # where torch's handler would raise
    assert seen == plain and notes.workers_died >= 1


def test_waiting_is_measured() -> None:
    def slow(step: int):
        for number in range(3):
            time.sleep(0.02)
            yield number

    notes = journal()
    for _ in SteadyBatches(slow, 0, notes):
        time.sleep(0.05)
    assert 0.06 <= notes.waited < 0.14
