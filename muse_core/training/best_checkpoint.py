"""Which checkpoint is the best so far: the one whose steps just before it had the lowest mean
training loss.

It is the loss that is minimised, averaged over the steps of one checkpoint interval, on the batches
of just these steps: cheap and noisy, and no measurement on held-out data. The average is a function
of the metrics rows alone, so a run that was killed and resumed chooses as one that never stopped.
"""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean

from muse_core.results.records import write_json
from muse_core.training.learner import Row

NOTE = "best_checkpoint.json"
MEASURE = "mean training loss of the steps since the checkpoint before"


def best_step(steps: Iterable[int], rows: Sequence[Row], window: int) -> int | None:
    """The step with the lowest `smoothed_loss`, the later one of equals; None where no row tells."""
    losses = {step: smoothed_loss(rows, step, window) for step in steps}
    known = [step for step, loss in losses.items() if math.isfinite(loss)]
    return min(known, key=lambda step: (losses[step], -step), default=None)


def smoothed_loss(rows: Sequence[Row], step: int, window: int) -> float:
    """Mean total loss of the last ``window`` steps up to ``step``; infinite where no row of them
    has one.
    """
    losses = [total_loss(row) for row in rows if step - window < row["step"] <= step]
    return (
        fmean(finite) if (finite := [loss for loss in losses if math.isfinite(loss)]) else math.inf
    )


def total_loss(row: Row) -> float:
    """``loss/total``, or the sum of the terms where there is none; NaN in the row of a step that
    was skipped.
    """
    terms = [value for name, value in row.items() if name.startswith("loss/")]
    return float(row.get("loss/total", sum(terms) if terms else math.nan))


def note_best(folder: Path, step: int, loss: float) -> None:
    """Write which checkpoint under ``folder/checkpoints`` is the best. Raises MuseError when the
    disk refuses.
    """
    write_json(
        folder / NOTE,
        {"checkpoint": f"checkpoints/step-{step:08d}", "loss": loss, "measure": MEASURE},
    )
