"""``muse watch RUN``: a line a stage that grows while another process trains the run. Nothing of
the run is touched.
"""

import sys
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from muse_core import paths
from muse_core.errors import MuseError
from muse_core.results.metrics_tail import StageFollower, followed, losses_of, updates

FOREVER = float("inf")


def followers(run: str) -> list[StageFollower]:
    """The stages of a run that have begun. Raises MuseError for a run that has none, or a name that
    is none.
    """
    records = paths.records_folder(run)
    return followed(records, partial(record_of, records))


def record_of(records: Path, stage: str) -> Path | None:
    """Where a stage writes what came out of it: ``stageN.json`` for the N-th of the tokenizer's,
    else beside its rows.
    """
    number = stage.partition("_")[0]
    is_stage = number.isdigit() and 1 <= int(number) <= 3
    return records / (f"stage{int(number)}.json" if is_stage else f"{stage}.json")


def check_seconds(seconds: float) -> float:
    """Raises MuseError for a time below zero, or none."""
    if not seconds >= 0:
        raise MuseError(f"--seconds must be 0 or more (0 looks once): got {seconds}.")
    return seconds


def watch(run: str, seconds: float = FOREVER, every: float = 1.0, file: Any = None) -> int:
    """Print the run's progress until its stages have ended, or for so many seconds; returns how
    many rows were seen.

    Raises MuseError as `followers`, and for a time below zero.
    """
    find, bars, seen = partial(followers, run), {}, 0
    find(), check_seconds(seconds)
    try:
        for follower in updates(find, seconds, every):
            if follower.name not in bars:
                bars[follower.name] = tqdm(
                    desc=follower.name, unit="step", position=len(bars), file=file or sys.stdout
                )
            seen += _advance(bars[follower.name], follower)
    finally:
        for bar in bars.values():
            bar.close()
    return seen


def _advance(bar: tqdm, follower: StageFollower) -> int:
    last = follower.rows[-1]
    bar.set_postfix(
        {name.removeprefix("loss/"): f"{last[name]:.4g}" for name in losses_of([last])},
        refresh=False,
    )
    new = last["step"] - bar.n
    bar.n = last["step"]
    bar.refresh()
    return new
