"""Trackers hear the rows; a missing package is one sentence."""

from importlib.util import find_spec

import pytest
from accelerate import Accelerator

from muse_core.errors import MuseError
from muse_core.training import trackers
from muse_core.training.trackers import check_trackers, tracking

from .small_run import SmallRun


@pytest.fixture
def run(tmp_path) -> SmallRun:
    return SmallRun(tmp_path)


def test_unknown_and_absent_ones_are_refused(monkeypatch) -> None:
    with pytest.raises(
        MuseError, match="Unknown tracker 'tensorbored': choose one of tensorboard, wandb"
    ):
        check_trackers(("tensorbored",))
    monkeypatch.setattr(trackers, "get_available_trackers", lambda: [])
    with pytest.raises(MuseError, match="'wandb' needs its package: `pip install wandb`"):
        check_trackers(("wandb",))


def test_none_writes_nothing(run) -> None:
    with tracking(Accelerator(cpu=True), run, (), 0) as track:
        track({"step": 1, "loss/total": 1.0})
    assert not run.folder.exists()


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="tensorboard is not installed")
def test_tensorboard_holds_every_row_and_a_resumed_piece_replaces_what_it_repeats(run) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for start, losses in ((0, (4.0, 3.0, 2.0)), (2, (1.5, 1.0))):
        with tracking(Accelerator(cpu=True), run, ("tensorboard",), start) as track:
            for step, loss in enumerate(losses, start=start + 1):
                track({"step": step, "loss/total": loss})
    events = EventAccumulator(str(run.folder / trackers.FOLDER / "mine"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss/total")] == [
        (1, 4.0),
        (2, 3.0),
        (3, 1.5),
        (4, 1.0),
    ]
