"""Metrics to TensorBoard or Weights & Biases as well, through Accelerate's trackers."""

from collections.abc import Collection
from typing import Any

from accelerate.tracking import filter_trackers, get_available_trackers

from muse_core.callback import Callback
from muse_core.errors import MuseError, unknown

TRACKERS = ("tensorboard", "wandb")
"""Accelerate's names, which are also the packages'."""
FOLDER = "trackers"
"""Beside the checkpoints; ``tensorboard --logdir data/runs`` finds every run."""


class Trackers(Callback):
    """Logs each kept row under its step. What an earlier piece logged after a resumed step's
    checkpoint is superseded.

    Args:
        names: Some of `TRACKERS`.

    Raises:
        MuseError: A name outside `TRACKERS`, or a package that is not (wholly) installed.
    """

    def __init__(self, names: Collection[str]) -> None:
        self.names = list(names)
        for name in self.names:
            if name not in TRACKERS:
                raise unknown("tracker", name, TRACKERS)
            if name not in map(str, get_available_trackers()):
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
        wandb = {"name": f"{files.run} {files.place}", "dir": str(folder), "resume": "allow"}
        options = {"tensorboard": {"purge_step": trainer.start + 1}, "wandb": wandb}
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


def _plain(facts: dict[str, Any]) -> dict[str, Any]:
    """Trackers store numbers, words and truth values as they are; everything else as text."""
    kept = int | float | str | bool
    return {name: held if isinstance(held, kept) else str(held) for name, held in facts.items()}
