"""What the loop notes while it runs: the rows of the metrics file, the time, the observers' time."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from muse_core.records import append_jsonl, read_jsonl
from muse_core.training.learner import Learner, Observer, Row, Run


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
    """What the loop notes while it runs."""

    run: Run
    writes: bool = True
    """One of several processes writes; the others remember."""
    rows: list[Row] = field(default_factory=list)
    pending: list[Row] = field(default_factory=list)
    skipped: set[str] = field(default_factory=set)
    enlarged: set[str] = field(default_factory=set)
    seconds_before: float = 0.0
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Training time so far, over all the pieces an interrupted stage was trained in."""
        return self.seconds_before + time.monotonic() - self.began

    def note(self, row: Row, batch: Any, keep: bool) -> None:
        self.skipped.update(batch.skipped)
        self.enlarged.update(batch.enlarged)
        if keep:
            self.rows.append(row)
            self.pending.append(row)

    def losses(self) -> dict[str, dict[str, float]]:
        """Each term at the first step, and its mean over the last ten."""
        tail = self.rows[-10:]
        terms = [name for name in self.rows[0] if name.startswith("loss/")] if self.rows else []
        return {
            term.removeprefix("loss/"): {
                "first": self.rows[0][term],
                "last": sum(row[term] for row in tail) / len(tail),
            }
            for term in terms
        }

    def flush(self) -> None:
        if self.writes:
            append_jsonl(self.run.metrics_file, self.pending)
        self.pending.clear()

    def rewind(self, step: int) -> None:
        """Keep the rows up to a checkpoint's step; later ones will be made again."""
        self.rows = [row for row in read_jsonl(self.run.metrics_file) if row["step"] <= step]
        if self.writes:
            self.run.metrics_file.unlink(missing_ok=True)
            append_jsonl(self.run.metrics_file, self.rows)
