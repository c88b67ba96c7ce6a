from pathlib import Path
from types import SimpleNamespace

from muse_core.training import faults


def test_a_dead_worker_is_told_with_the_way_out() -> None:
    error = RuntimeError("DataLoader worker (pid 3) exited unexpectedly")
    words = faults.worker_died("01 of run 'mine'", 7, error, saved=True)
    assert "stopped at step 7, which is saved" in words and "pid 3" in words
    assert "resume=True" in words
    assert "is saved" not in faults.worker_died("01 of run 'mine'", 7, error, saved=False)


def test_a_stop_inside_a_step_tells_which_is_lost() -> None:
    assert "inside step 8, which is lost" in faults.torn("01 of run 'mine'", 7)
    assert "it is saved" in faults.interrupted("01 of run 'mine'", 7)


def test_what_diverged_names_a_few_samples(tmp_path: Path) -> None:
    batch = SimpleNamespace(ids=("a", "b", "c", "d", "e"))
    words = faults.diverged("01", tmp_path, 2, FloatingPointError("the loss is nan"), batch)
    assert "stopped at step 3: the loss is nan, on the samples a, b, c, d ...;" in words
    assert "no checkpoint had been written yet" in words
