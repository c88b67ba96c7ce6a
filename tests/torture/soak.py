"""Minutes of training in a process of its own: does its memory stay flat, its pace steady, its step
fed?
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import linregress

from muse_core import paths
from muse_core.results.records import read_json
from muse_core.training.checkpoint import STATE_FILE, latest_checkpoint
from tests.torture import child, processes
from tests.torture.kills import read_lines

WARM_UP = 0.25
"""Share of the time that is not looked at: caches fill, the allocator grows."""
PATIENCE = 900.0
"""Seconds a child may take longer than it was told."""
STOPPED = 2
"""Exit code of a training that was stopped before its last step, as each is here."""


@dataclass(frozen=True)
class Slope:
    """``per_hour``: least squares; ``error``: half of its 95 % interval, widened for samples that
    resemble those before them.
    """

    per_hour: float
    error: float


def slope(hours: Sequence[float], values: Sequence[float]) -> Slope:
    """Of at least three values over time. Residuals with a lag-1 correlation r count as n (1 - r) /
    (1 + r) independent ones.
    """
    x, y = np.asarray(hours, float), np.asarray(values, float)
    fit = linregress(x, y)
    residuals = y - (fit.intercept + fit.slope * x)
    power = float(residuals @ residuals)
    r = min(max(float(residuals[1:] @ residuals[:-1]) / power if power else 0.0, 0.0), 0.99)
    return Slope(float(fit.slope), 1.96 * float(fit.stderr) * math.sqrt((1 + r) / (1 - r)))


def try_soak(
    root: Path, minutes: float, preset: str = "micro", leak_mb: float = 0.0
) -> dict[str, Any]:
    """Train for ``minutes`` in ``root`` and say how memory and pace went, for torture.json.

    ``leak_mb`` of memory a step are kept on purpose, to see that this instrument sees it.
    """
    _foundations(root, preset)
    samples = root / "soak.jsonl"
    process = processes.begin(child.soak, root, preset, 60 * minutes, samples, leak_mb)
    code = processes.finish(process, 60 * minutes + PATIENCE)
    if code != STOPPED:
        raise RuntimeError(
            f"the soak ended with exit code {code}: "
            f"{samples.with_suffix('.out').read_text()[-2000:]}"
        )
    return _told(np.array(read_lines(samples)), minutes, preset) | {
        "data_wait_share": _data_wait_share(root)
    }


def _foundations(root: Path, preset: str) -> None:
    if preset == "micro":
        child.write_workspace(root)
    else:
        place = root / "data" / "foundations"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(paths.root() / "data" / "foundations")


def _told(samples: np.ndarray, minutes: float, preset: str) -> dict[str, Any]:
    """``samples``: rows of seconds, steps done, resident MB."""
    seconds, steps, megabytes = samples[samples[:, 0] >= WARM_UP * samples[-1, 0]].T
    found, middle = slope(seconds / 3600, megabytes), len(seconds) // 2
    halves = [
        (steps[last] - steps[first]) / (seconds[last] - seconds[first])
        for first, last in ((0, middle), (middle, -1))
    ]
    return {
        "rss_slope_mb_per_hour": found.per_hour,
        "rss_slope_error_mb_per_hour": found.error,
        "rss_mb_after_warm_up": megabytes[0],
        "rss_mb_at_the_end": megabytes[-1],
        "steps_per_second_first_half": halves[0],
        "steps_per_second_second_half": halves[1],
        "soak_steps": int(steps[-1]),
        "soak_minutes": minutes,
        "soak_preset": preset,
    }


def _data_wait_share(root: Path) -> float:
    """Of the training's seconds, from its last checkpoint."""
    with child.workspace(root):
        checkpoint = latest_checkpoint(next(paths.run_folder("soak").glob("*/checkpoints")))
    facts = read_json(checkpoint / STATE_FILE)
    return facts["seconds_waited"] / facts["seconds"]
