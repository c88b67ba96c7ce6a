"""Metrics to TensorBoard, Weights & Biases, Trackio as well: to any tracker that Accelerate has."""

from collections.abc import Collection
from typing import Any

from accelerate.tracking import (
    LOGGER_TYPE_TO_CLASS,
    LoggerType,
    filter_trackers,
    get_available_trackers,
)

from muse_core.callback import Callback
from muse_core.errors import MuseError, chosen

FOLDER = "trackers"
"""Beside the checkpoints; ``tensorboard --logdir data/runs`` finds every run."""


def tracker_names() -> dict[str, bool]:
    """Name of every tracker that the installed Accelerate offers, or that was registered with it
    -> whether it can be used. The names are also the packages'.
    """
    registered = LOGGER_TYPE_TO_CLASS.keys() - {*map(str, LoggerType)}
    there = {*map(str, get_available_trackers()), *registered}
    return {str(name): str(name) in there for name in LOGGER_TYPE_TO_CLASS}


class Trackers(Callback):
    """Logs each kept row under its step. What an earlier piece logged after a resumed step's
    checkpoint is superseded in TensorBoard; others show both.

    Args:
        names: Some of `tracker_names`.

    Raises:
        MuseError: A name outside them, or a package that is not (wholly) installed.
    """

    def __init__(self, names: Collection[str]) -> None:
        self.names = list(names)
        for name in self.names:
            if not chosen("tracker", name, tracker_names()):
                raise MuseError(
                    f"The tracker {name!r} needs its package: `pip install {name}`, or leave it "
                    "out of trackers."
                )

    def on_train_begin(self, trainer: Any) -> None:
        accelerator, files = trainer.task.accelerator, trainer.files
        folder = files.folder / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        names: list[Any] = self.names
        accelerator.log_with = filter_trackers(names, folder)
        accelerator.project_configuration.logging_dir = folder
        options = _options(f"{files.run} {files.place}", str(folder), trainer.start)
        accelerator.init_trackers(files.run, _plain(trainer.configuration()), options)

    def on_step(self, trainer: Any, row: dict[str, Any]) -> None:
        values = {name: value for name, value in row.items() if name != "step"}
        trainer.task.accelerator.log(values, row["step"])

    def on_train_end(self, trainer: Any) -> None:
        accelerator = trainer.task.accelerator
        # Not `end_training`, which would also part the processes.
        for tracker in accelerator.trackers:
            tracker.finish()
        accelerator.trackers = []


def _options(name: str, folder: str, start: int) -> dict[str, dict[str, Any]]:
    """Tracker -> what it calls this stage, where it writes, and that a stage may be resumed; the
    others have no such options, or say so themselves.
    """
    return {
        "tensorboard": {"purge_step": start + 1},
        "wandb": {"name": name, "dir": folder, "resume": "allow"},
        "trackio": {"name": name, "resume": "allow"},
        "mlflow": {"run_name": name},
        "clearml": {"task_name": name},
        "dvclive": {"dir": folder, "resume": True},
    }


def _plain(facts: dict[str, Any]) -> dict[str, Any]:
    """Trackers store numbers, words and truth values as they are; everything else as text."""
    kept = int | float | str | bool
    return {name: held if isinstance(held, kept) else str(held) for name, held in facts.items()}
