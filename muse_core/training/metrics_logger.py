"""What the trainer notes while it runs: the rows of the metrics file, what went wrong, the time."""

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from muse_core.results.records import append_jsonl, read_jsonl
from muse_core.training.saving import force

FLUSH_SECONDS = 1.0
"""How old a row may become before it is in the file."""

Row = dict[str, Any]
"""One line of the metrics file."""

SKIPPED = "skipped"
"""The column of the row of a step that changed nothing."""


@dataclass
class MetricsLogger:
    """The metrics file of a stage.

    Args:
        file: Where the rows go, a JSON object a line.
        writes: Whether this process writes; of several, the others remember.
    """

    file: Path
    writes: bool = True
    rows: list[Row] = field(default_factory=list)
    pending: list[Row] = field(default_factory=list)
    files_skipped: set[str] = field(default_factory=set)
    files_enlarged: set[str] = field(default_factory=set)
    bad_steps: list[int] = field(default_factory=list)
    """Steps that were skipped because they were not finite, counted from 1."""
    waited: float = 0.0
    """Seconds of waiting for data, over all pieces of an interrupted stage."""
    callbacks: dict[str, float] = field(default_factory=dict)
    """Callback -> the seconds it took, over all pieces."""
    seconds_before: float = 0.0
    began: float = field(default_factory=time.monotonic)
    flushed: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Time so far without the callbacks', over all pieces of an interrupted stage."""
        return self.seconds_with_callbacks - sum(self.callbacks.values())

    @property
    def seconds_with_callbacks(self) -> float:
        """Time so far, over all pieces."""
        return self.seconds_before + time.monotonic() - self.began

    def note(self, row: Row, batch: Any, keep: bool) -> None:
        """Note a step's row, where it is to be kept, and the files of its batch."""
        self.files_skipped.update(batch.skipped)
        self.files_enlarged.update(batch.enlarged)
        if keep:
            # Else every row would hold its own copies of the column names.
            row = {sys.intern(name): value for name, value in row.items()}
            self.rows.append(row)
            self.pending.append(row)
        if time.monotonic() - self.flushed >= FLUSH_SECONDS:
            self.flush()

    def losses(self) -> dict[str, dict[str, float]]:
        """Each term at the first step, and its mean over the last ten that were not skipped."""
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
        """Append what is new to the file; ``to_disk``: and wait until it is there."""
        if self.writes:
            append_jsonl(self.file, self.pending)
        self.pending.clear()
        self.flushed = time.monotonic()
        if to_disk and self.writes:
            force(self.file)

    def rewind(self, step: int) -> None:
        """Keep the rows up to a checkpoint's step; later ones will be made again."""
        self.rows = [row for row in read_jsonl(self.file) if row["step"] <= step]
        if self.writes:
            kept = self.file.with_name(f".{self.file.name}.{os.getpid()}.tmp")
            kept.unlink(missing_ok=True)
            append_jsonl(kept, self.rows)
            force(kept)
            kept.replace(self.file)

    def remembered(self) -> dict[str, Any]:
        """What a checkpoint keeps of the way so far."""
        return {
            "files_skipped": sorted(self.files_skipped),
            "files_enlarged": sorted(self.files_enlarged),
            "bad_steps": self.bad_steps,
            "seconds": self.seconds_with_callbacks,
            "callbacks": dict(self.callbacks),
            "seconds_waited": self.waited,
        }

    def recall(self, facts: Mapping[str, Any]) -> None:
        """The inverse of `remembered`, for a stage that goes on."""
        self.files_skipped.update(facts["files_skipped"])
        self.files_enlarged.update(facts["files_enlarged"])
        self.bad_steps[:] = facts["bad_steps"]
        self.seconds_before = facts["seconds"]
        self.callbacks = dict(facts.get("callbacks", {}))
        self.waited = facts["seconds_waited"]
