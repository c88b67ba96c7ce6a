"""What the loop notes while it runs: the rows of the metrics file, what went wrong, the time, the
observers' time.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from muse_core.results.records import append_jsonl, read_jsonl
from muse_core.training.bad_steps import SKIPPED
from muse_core.training.learner import Learner, Observer, Row, Run
from muse_core.training.saving import force

FLUSH_SECONDS = 1.0
"""How old a row may become before it is in the file."""


@dataclass
class Watch:
    """The observers, and the time each takes."""

    observers: Mapping[str, Observer]
    seconds: dict[str, float] = field(default_factory=dict)

    def observe(self, learner: Learner, step: int) -> None:
        for name, observer in self.observers.items():
            began = time.monotonic()
            observer(learner, step)
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - began

    @property
    def total(self) -> float:
        return sum(self.seconds.values(), 0.0)

    def rounded(self) -> dict[str, float]:
        return {name: round(seconds, 2) for name, seconds in self.seconds.items()}


@dataclass
class Journal:
    """What the loop notes while it runs. ``bad_steps``: those that were skipped, counted from 1;
    ``workers_died``: how many.
    """

    run: Run
    writes: bool = True
    """One of several processes writes; the others remember."""
    rows: list[Row] = field(default_factory=list)
    pending: list[Row] = field(default_factory=list)
    skipped: set[str] = field(default_factory=set)
    enlarged: set[str] = field(default_factory=set)
    bad_steps: list[int] = field(default_factory=list)
    workers_died: int = 0
    saved: int = -1
    """The step of the last checkpoint."""
    waited: float = 0.0
    """Seconds of waiting for data, over all pieces."""
    seconds_before: float = 0.0
    began: float = field(default_factory=time.monotonic)
    flushed: float = field(default_factory=time.monotonic)
    track: Callable[[Row], None] = lambda row: None
    """Hears every row as well."""

    @property
    def seconds(self) -> float:
        """Training time so far, over all the pieces an interrupted stage was trained in."""
        return self.seconds_before + time.monotonic() - self.began

    def note(self, row: Row, batch: Any, keep: bool) -> None:
        self.skipped.update(batch.skipped)
        self.enlarged.update(batch.enlarged)
        if keep:
            row = {
                sys.intern(name): value for name, value in row.items()
            }  # else every row has its own copies of them
            self.rows.append(row)
            self.pending.append(row)
            self.track(row)
        if time.monotonic() - self.flushed >= FLUSH_SECONDS:
            self.flush()

    def losses(self) -> dict[str, dict[str, float]]:
        """Each term at the first step, and its mean over the last ten; of the steps that were not
        skipped.
        """
        rows = [row for row in self.rows if SKIPPED not in row]
        tail = rows[-10:]
        terms = [name for name in rows[0] if name.startswith("loss/")] if rows else []
        return {
            term.removeprefix("loss/"): {
                "first": rows[0][term],
                "last": sum(row[term] for row in tail) / len(tail),
            }
            for term in terms
        }

    def flush(self, to_disk: bool = False) -> None:
        """Append what is new to the metrics file; ``to_disk``: and wait until it is there."""
        if self.writes:
            append_jsonl(self.run.metrics_file, self.pending)
        self.pending.clear()
        self.flushed = time.monotonic()
        if to_disk and self.writes:
            force(self.run.metrics_file)

    def rewind(self, step: int) -> None:
        """Keep the rows up to a checkpoint's step; later ones will be made again."""
        self.rows = [row for row in read_jsonl(self.run.metrics_file) if row["step"] <= step]
        if self.writes:
            kept = self.run.metrics_file.with_name(
                f".{self.run.metrics_file.name}.{os.getpid()}.tmp"
            )
            kept.unlink(missing_ok=True)
            append_jsonl(kept, self.rows)
            force(kept)
            kept.replace(self.run.metrics_file)

    def facts(self) -> dict[str, Any]:
        """What a checkpoint remembers of the way so far."""
        return {
            "files_skipped": sorted(self.skipped),
            "files_enlarged": sorted(self.enlarged),
            "bad_steps": self.bad_steps,
            "workers_died": self.workers_died,
            "seconds": self.seconds,
            "seconds_waited": self.waited,
        }

    def remember(self, facts: Mapping[str, Any]) -> None:
        """The inverse of `facts`, for a stage that goes on."""
        self.skipped.update(facts["files_skipped"])
        self.enlarged.update(facts["files_enlarged"])
        self.bad_steps[:] = facts.get("bad_steps", [])  # older checkpoints do not say
        self.workers_died = facts.get("workers_died", 0)
        self.seconds_before = facts["seconds"]
        self.waited = facts.get("seconds_waited", 0.0)
