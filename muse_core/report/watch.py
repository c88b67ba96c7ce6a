"""``muse watch RUN``: a line a stage that grows while another process trains the run."""

import math
import sys
from functools import partial
from typing import Any

from tqdm import tqdm

from muse_core import paths
from muse_core.errors import MuseError
from muse_core.results.metrics_tail import followed, losses_of, updates


def watch(run: str, seconds: float = math.inf, file: Any = None) -> int:
    """Print a run's progress until its stages have ended; nothing of the run is touched.

    Args:
        run: Name of the run.
        seconds: How long at most; 0 looks once.
        file: Where to print, instead of the terminal.

    Returns:
        The number of training steps seen.

    Raises:
        MuseError: A run that has written no metrics, or a time below zero.
    """
    if not seconds >= 0:
        raise MuseError(f"--seconds must be 0 or more (0 looks once): got {seconds}.")
    bars, find = {}, partial(followed, paths.records_folder(run))
    find()
    try:
        for stage in updates(find, seconds):
            if stage.name not in bars:
                bars[stage.name] = tqdm(
                    desc=stage.name, unit="step", position=len(bars), file=file or sys.stdout
                )
            bar, last = bars[stage.name], stage.rows[-1]
            losses = {name.removeprefix("loss/"): last[name] for name in losses_of([last])}
            bar.set_postfix(losses, refresh=False)
            bar.update(last["step"] - bar.n)
    finally:
        for bar in bars.values():
            bar.close()
    return sum(bar.n for bar in bars.values())
