"""Where a stage starts: from nothing, with what lay there set aside, or from its last intact
checkpoint.
"""

import shutil

from muse_core.errors import MuseError
from muse_core.training.checkpoint import latest_checkpoint, load_state
from muse_core.training.learner import Learner, Run
from muse_core.training.metrics_logger import Journal
from muse_core.training.pace import pace_file
from muse_core.training.saving import tidy


def begin(journal: Journal) -> int:
    """A fresh start: what an earlier run of this name left is set aside once, as
    ``<stage>.previous``.
    """
    run = journal.run
    if not journal.writes:
        return 0
    if any(run.checkpoints.glob("step-*")) or run.finished.exists():
        previous = run.folder.with_name(run.folder.name + ".previous")
        shutil.rmtree(previous, ignore_errors=True)
        run.folder.rename(previous)
        run.folder.mkdir()
    for file in (run.metrics_file, pace_file(run.metrics_file)):
        file.unlink(missing_ok=True)
    return 0


def clear_up(run: Run) -> None:
    """Remove what a killed process left half-written."""
    for folder in (run.folder, run.checkpoints):
        tidy(folder)


def resume(run: Run, learner: Learner, fingerprint: str, journal: Journal) -> int:
    """Restore the newest intact checkpoint and return its step; 0 where there is none yet.

    Raises MuseError when the checkpoint was made with other parameters, or with data of another
    ``fingerprint``."""
    checkpoint = latest_checkpoint(run.checkpoints)
    if checkpoint is None:
        return begin(journal)
    state = load_state(checkpoint)
    wanted = run.facts() | {"data_fingerprint": fingerprint}
    for name, value in wanted.items():
        if state.facts.get(name) != value:
            raise MuseError(
                f"Cannot resume {run.stage} of run {run.run!r}: its checkpoint has {name}={state.facts.get(name)!r}, "
                f"these parameters say {value!r}; use the same ones, another run name, or resume=False."
            )
    learner.restore(checkpoint / learner.saved_as, state)
    journal.rewind(state.facts["step"])
    journal.remember(state.facts)
    return state.facts["step"]
