"""How fast a stage goes and what it holds, while it runs: a file beside the metrics that is
readable at any moment.

Apart from the metrics because these are a function of the seed, and this depends on the machine.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from muse_core.results.records import append_jsonl

EVERY_SECONDS = 5.0


def pace_file(metrics_file: Path) -> Path:
    """``NAME.pace.jsonl`` beside ``NAME.jsonl``."""
    return metrics_file.with_suffix(".pace.jsonl")


def memory_mb() -> float:
    """Resident memory of this process, in MB (10^6 bytes)."""
    return psutil.Process().memory_info().rss / 1e6


@dataclass
class Pace:
    """Appends a line to ``file`` every few seconds: ``step``, ``steps_per_second`` since the line
    before, ``memory/rss_mb``, and ``data_wait_share``, the share of that time in which the step
    waited for its batch."""

    file: Path
    began: float = field(default_factory=lambda: time.monotonic())
    step: int = 0
    waited: float = 0.0

    def note(self, step: int, waited: float, every: float = EVERY_SECONDS) -> None:
        """``step``: steps done; ``waited``: seconds of waiting for data so far in this process."""
        seconds = time.monotonic() - self.began
        if seconds < every or seconds <= 0:
            return
        row = {
            "step": step,
            "steps_per_second": (step - self.step) / seconds,
            "data_wait_share": (waited - self.waited) / seconds,
            "memory/rss_mb": memory_mb(),
        }
        append_jsonl(self.file, [row])
        self.began, self.step, self.waited = time.monotonic(), step, waited
