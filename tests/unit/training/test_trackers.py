"""Trackers hear the rows; a missing package is one sentence."""

from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
from accelerate import Accelerator
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker

from muse_core.errors import MuseError
from muse_core.training import trackers
from muse_core.training.trackers import Trackers, tracker_names
from muse_core.training.trainer import RunFiles


def test_unknown_and_absent_ones_are_refused(monkeypatch) -> None:
    with pytest.raises(MuseError, match=r"Unknown tracker 'tensorbored': choose one of .*trackio"):
        Trackers(["tensorbored"])
    monkeypatch.setattr(trackers, "get_available_trackers", lambda: [])
    assert {"tensorboard", "wandb", "trackio", "mlflow"} <= tracker_names().keys()
    for name in tracker_names():
        with pytest.raises(MuseError, match=f"'{name}' needs its package: `pip install {name}`"):
            Trackers([name])


class Kept(GeneralTracker):
    """A tracker of one's own."""

    name, requires_logging_directory = "kept", False
    rows: ClassVar[list] = []

    def __init__(self, project: str, **options: object) -> None:
        super().__init__()
        self.project = project

    @property
    def tracker(self) -> str:
        return self.project

    def store_init_configuration(self, values: dict) -> None:
        self.rows.append((self.project, values))

    def log(self, values: dict, step: int | None = None, **options: object) -> None:
        self.rows.append((step, values))


def test_a_tracker_that_is_registered_with_accelerate_hears_the_rows_by_its_name(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))
    monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "kept", Kept)
    task = SimpleNamespace(accelerator=Accelerator(cpu=True))
    files, configuration = RunFiles("mine", "01_topology_warmup"), {"seed": 1, "stage": {}}
    trainer = SimpleNamespace(task=task, files=files, start=0, configuration=lambda: configuration)
    hears = Trackers(["kept"])
    hears.on_train_begin(trainer)
    hears.on_step(trainer, {"step": 3, "loss/total": 0.5})
    hears.on_train_end(trainer)
    assert Kept.rows == [("mine", {"seed": 1, "stage": "{}"}), (3, {"loss/total": 0.5})]


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
