"""The sentence for each way a stage can stop before its end."""

from typing import Any

from muse_core.training.checkpoint import latest_checkpoint
from muse_core.training.learner import Run


def diverged(run: Run, step: int, error: Exception, batch: Any) -> str:
    """A loss or gradient that is not finite after ``step`` whole steps."""
    good = latest_checkpoint(run.checkpoints)
    kept = (
        f"the checkpoint of {good.name} is kept" if good else "no checkpoint had been written yet"
    )
    return (
        f"{run.stage} of run {run.run!r} stopped at step {step + 1}: {error}, on the samples "
        f"{', '.join(batch.ids[:4])}{' ...' if len(batch.ids) > 4 else ''}; {kept}. "
        "Lower the learning rate, or look at those samples."
    )


def too_large(run: Run, step: int, batch_size: int) -> str:
    """A step that the GPU's memory does not hold."""
    good = latest_checkpoint(run.checkpoints)
    again = (
        f"; {good.name} is kept, but it goes on only with the batch size it was made with"
        if good
        else ""
    )
    smaller = (
        f"about {batch_size // 2} may fit: run again with `-p batch_size {batch_size // 2}`"
        if batch_size > 1
        else ("not even one image fits: use a larger GPU, or another preset")
    )
    return (
        f"{run.stage} of run {run.run!r} ran out of GPU memory at step {step + 1} with {batch_size} images a step; "
        f"{smaller}{again}."
    )


def workers_died(run: Run, step: int, error: Exception) -> str:
    """Loader after loader lost a worker; ``error`` is torch's sentence about the last."""
    return (
        f"{run.stage} of run {run.run!r} stopped at step {step}, which is saved: the workers that read its data died again and "
        f"again ({error}); out of memory is the usual reason: give the machine more, use fewer loader workers or smaller images, "
        "and run again with resume=True."
    )


def torn(run: Run, step: int) -> str:
    """A second Ctrl-C, inside a step: some weights have moved and others have not."""
    return (
        f"Stopped {run.stage} inside step {step + 1}, which is lost: run again with resume=True to go on "
        "from the last checkpoint."
    )


def interrupted(run: Run, step: int) -> str:
    """A stop between two steps."""
    return (
        f"Interrupted {run.stage} at step {step}; it is saved: run again with resume=True to go on."
    )
