"""The sentence for each way a stage can stop before its end."""

from pathlib import Path
from typing import Any

from muse_core.training.checkpoint import latest_checkpoint


def diverged(what: str, checkpoints: Path, step: int, error: Exception, batch: Any) -> str:
    """A loss or gradient that is not finite after ``step`` whole steps."""
    good = latest_checkpoint(checkpoints)
    kept = f"{good.name} is kept" if good else "no checkpoint had been written yet"
    samples = ", ".join(batch.ids[:4]) + (" ..." if len(batch.ids) > 4 else "")
    return (
        f"{what} stopped at step {step + 1}: {error}, on the samples {samples}; {kept}. "
        "Lower the learning rate, or look at those samples."
    )


def too_large(what: str, checkpoints: Path, step: int, batch_size: int) -> str:
    """A step that the GPU's memory does not hold."""
    good, half = latest_checkpoint(checkpoints), batch_size // 2
    smaller = f"about {half} may fit: run again with `-p batch_size {half}`"
    if batch_size == 1:
        smaller = "not even one image fits: use a larger GPU, or another preset"
    again = f"; {good.name} is kept, and goes on only with its own batch size" if good else ""
    return (
        f"{what} ran out of GPU memory at step {step + 1} with {batch_size} images a step; "
        f"{smaller}{again}."
    )


def worker_died(what: str, step: int, error: Exception, saved: bool) -> str:
    """A process that reads the data is gone.

    Args:
        what: The stage.
        step: How many steps are done.
        error: Torch's sentence about it.
        saved: Whether there is a checkpoint of this very step.
    """
    kept = "which is saved" if saved else "and the last checkpoint is kept"
    return (
        f"{what} stopped at step {step}, {kept}: a worker that reads its data died "
        f"({error}); out of memory is the usual reason: give the machine more, use fewer loader "
        "workers or smaller images, and run again with resume=True."
    )


def torn(what: str, step: int) -> str:
    """A second Ctrl-C, inside a step: some weights have moved and others have not."""
    return (
        f"Stopped {what} inside step {step + 1}, which is lost: run again with resume=True to go "
        "on from the last checkpoint."
    )


def interrupted(what: str, step: int) -> str:
    """A stop between two steps."""
    if not step:
        return f"Interrupted {what} before its first step: nothing is lost; run it again."
    again = "run again with resume=True to go on (`-p resume true` on the command line)"
    return f"Interrupted {what} at step {step}; it is saved: {again}."
