"""Trackers hear the rows; a missing package is one sentence."""

from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
from accelerate import Accelerator

from muse_core.errors import MuseError
from muse_core.training import trackers
from muse_core.training.trackers import Trackers
from muse_core.training.trainer import RunFiles


def test_unknown_and_absent_ones_are_refused(monkeypatch) -> None:
    with pytest.raises(MuseError, match="Unknown tracker 'tensorbored': choose one of tensorboard"):
        Trackers(["tensorbored"])
    monkeypatch.setattr(trackers, "get_available_trackers", lambda: [])
    with pytest.raises(MuseError, match="'wandb' needs its package: `pip install wandb`"):
        Trackers(["wandb"])


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="tensorboard is not installed")
def test_tensorboard_holds_every_row_and_a_resumed_piece_replaces_what_it_repeats(
    tmp_path: Path, monkeypatch
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))
    files = RunFiles("mine", "01_topology_warmup")
    for start, losses in ((0, (4.0, 3.0, 2.0)), (2, (1.5, 1.0))):
        task = SimpleNamespace(accelerator=Accelerator(cpu=True))
        trainer = SimpleNamespace(task=task, files=files, start=start, configuration=dict)
        hears = Trackers(["tensorboard"])
        hears.on_train_begin(trainer)
        for step, loss in enumerate(losses, start=start + 1):
            hears.on_step(trainer, {"step": step, "loss/total": loss})
        hears.on_train_end(trainer)
    events = EventAccumulator(str(files.folder / trackers.FOLDER / "mine"))
    events.Reload()
    found = [(event.step, event.value) for event in events.Scalars("loss/total")]
    assert found == [(1, 4.0), (2, 3.0), (3, 1.5), (4, 1.0)]
