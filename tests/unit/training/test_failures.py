from muse_core.training import failures

from .small_run import SmallRun


def test_dead_workers_are_told_with_the_way_out(tmp_path) -> None:
    run = SmallRun(tmp_path)
    words = failures.workers_died(
        run, 7, RuntimeError("DataLoader worker (pid 3) exited unexpectedly")
    )
    assert (
        "stopped at step 7, which is saved" in words and "pid 3" in words and "resume=True" in words
    )


def test_a_stop_inside_a_step_tells_which_is_lost(tmp_path) -> None:
    run = SmallRun(tmp_path)
    assert "inside step 8, which is lost" in failures.torn(
        run, 7
    ) and "it is saved" in failures.interrupted(run, 7)
