"""Metrics to TensorBoard or Weights & Biases as well, through Accelerate's trackers; the files of a
run do not depend on them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from accelerate import Accelerator
from accelerate.tracking import filter_trackers, get_available_trackers

from muse_core.errors import MuseError, unknown
from muse_core.training.learner import Row, Run

TRACKERS = ("tensorboard", "wandb")
"""Accelerate's names, which are also the packages'."""
FOLDER = "trackers"
"""Beside the checkpoints; ``tensorboard --logdir data/runs`` finds every run."""


def check_trackers(names: tuple[str, ...]) -> None:
    """Raises MuseError for a name outside `TRACKERS`, and for a package that is not (wholly)
    installed.
    """
    for name in names:
        if name not in TRACKERS:
            raise unknown("tracker", name, TRACKERS)
        if name not in map(str, get_available_trackers()):
            raise MuseError(
                f"The tracker {name!r} needs its package: `pip install {name}`, or leave it out of trackers."
            )


@contextmanager
def tracking(
    accelerator: Accelerator, run: Run, names: tuple[str, ...], start: int
) -> Iterator[Callable[[Row], None]]:
    """A function that logs a row under its step. What an earlier piece of the run logged after
    ``start`` is superseded.
    """
    if not names:
        yield lambda row: None
        return
    folder = run.folder / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    accelerator.log_with = filter_trackers(list(names), folder)
    accelerator.project_configuration.logging_dir = folder
    accelerator.init_trackers(run.run, _plain(run.facts()), _options(run, start))
    try:
        yield lambda row: accelerator.log(
            {name: value for name, value in row.items() if name != "step"}, row["step"]
        )
    finally:
        for (
            tracker
        ) in accelerator.trackers:  # not `end_training`, which would also part the processes
            tracker.finish()
        accelerator.trackers = []


def _options(run: Run, start: int) -> dict[str, dict[str, Any]]:
    name = f"{run.run} {run.stage}"
    return {
        "tensorboard": {"purge_step": start + 1},
        "wandb": {"name": name, "dir": str(run.folder / FOLDER), "resume": "allow"},
    }


def _plain(facts: dict[str, Any]) -> dict[str, int | float | str | bool]:
    """Trackers store numbers, words and truth values as they are; everything else as text."""
    return {
        name: value if isinstance(value, int | float | str | bool) else str(value)
        for name, value in facts.items()
    }
