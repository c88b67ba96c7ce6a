"""Following a run that another process trains, by what it appends to its records; nothing of the
run is touched.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from muse_core.errors import MuseError
from muse_core.results.records import RowReader

GEOMETRY = "geometry_"
"""How names of files begin that hold measured gradients, and no steps of training."""


@dataclass
class StageFollower:
    """The rows of one stage as they are written. ``record``: the file whose appearance says that
    the stage has ended.
    """

    name: str
    reader: RowReader
    record: Path | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def finished(self) -> bool:
        """Whether the stage's record is there, and not of an earlier training."""
        if self.record is None or not self.record.exists():
            return False
        return self.record.stat().st_mtime >= self.reader.path.stat().st_mtime

    def update(self) -> list[dict[str, Any]]:
        """The rows that are new; after a restart of the stage, its rows begin again."""
        before = self.reader.position
        new = [row for row in self.reader.new_rows() if "step" in row]
        if self.reader.position < before or (
            new and self.rows and new[0]["step"] <= self.rows[-1]["step"]
        ):
            self.rows = [row for row in self.rows if new and row["step"] < new[0]["step"]]
        self.rows += new
        return new


def followed(records: Path) -> list[StageFollower]:
    """A follower for each stage that has written rows into a run's folder of records, in order.

    Raises MuseError where there is no such folder, or no stage in it yet."""
    files = sorted(file for file in records.glob("*.jsonl") if not file.name.startswith(GEOMETRY))
    if not files:
        raise MuseError(
            f"The run {records.parent.name!r} has no records to follow in {records}: start one "
            f"with `muse run 01 --run {records.parent.name}`, or check its name."
        )
    return [StageFollower(file.stem, RowReader(file), _record_of(file)) for file in files]


def _record_of(rows: Path) -> Path:
    """What a stage writes at its end: ``stageN.json`` for the tokenizer's N-th, else its name."""
    number = rows.stem.partition("_")[0]
    name = f"stage{int(number)}" if number in ("01", "02", "03") else rows.stem
    return rows.with_name(f"{name}.json")


def updates(
    find: Callable[[], list[StageFollower]],
    seconds: float,
    every: float = 1.0,
) -> Iterator[StageFollower]:
    """Each follower with new rows, again and again, until all stages have ended or ``seconds`` are
    over (0: look once).

    ``find`` is asked each time, so that a stage that begins later is followed too.
    """
    known: dict[str, StageFollower] = {}
    until = time.monotonic() + seconds
    while True:
        for follower in find():
            known.setdefault(follower.name, follower)
        for follower in known.values():
            if follower.update():
                yield follower
        if all(follower.finished for follower in known.values()) or time.monotonic() >= until:
            return
        time.sleep(min(every, max(0.0, until - time.monotonic())))


def losses_of(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The columns of losses that these rows have."""
    return list(dict.fromkeys(name for row in rows for name in row if name.startswith("loss/")))
