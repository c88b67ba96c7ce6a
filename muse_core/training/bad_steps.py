"""Steps whose loss or gradient is not finite: the stage stops at one, or skips as many as it was
allowed.
"""

from typing import Any

from muse_core.training.learner import Learner, Row

SKIPPED = "skipped"
"""The column of the metrics row of a step that changed nothing."""


def update_or_skip(
    learner: Learner, batch: Any, step: int, skipped: list[int], allowed: int
) -> Row:
    """One update (``step`` 0-based) and its row; or no change at all, when it is not finite and
    fewer than ``allowed`` were.

    Skipped steps are added to ``skipped``, counted from 1 as in the metrics file. Raises
    FloatingPointError for one too many."""
    try:
        return learner.update(batch, step)
    except FloatingPointError:
        if len(skipped) >= allowed:
            raise
        skipped.append(step + 1)
        return {SKIPPED: 1}
