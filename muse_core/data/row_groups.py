"""Parquet files by row groups: what their footers say, and reading one group at a time, wherever
the files lie.

A footer tells how many rows each group has, so every row has a position before any is read. A path
may be a local file or anything that fsspec opens, such as hf://datasets/OWNER/NAME@REVISION/FILE.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from tqdm import tqdm

from muse_core.data.decode import Unreadable
from muse_core.data.lanes import MOST_LANES, STEPS
from muse_core.errors import MuseError

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.parquet import FileMetaData, ParquetFile

Read = TypeVar("Read")

MOST_BYTES = 4 << 30
"""Of all row groups that a reader holds."""
LARGEST = MOST_BYTES // STEPS
"""Bytes of one row group, uncompressed."""
PATIENCE = 4
"""Times as many groups as there are places are fetched before one that is not asked for any more is
let go.
"""
AT_ONCE = 16
"""Footers that are fetched at the same time."""
WAITS = (1.0, 5.0, 25.0)
"""Seconds before a remote file is tried again."""


@dataclass(frozen=True)
class RowGroups:
    """The row groups of several files: ``file`` (g,) the place of each one's file in ``paths``,
    ``number`` (g,) its own place in the file, ``first`` (g,) its first row there, ``rows`` (g,) and
    ``bytes`` (g,), uncompressed. ``damage``: local files that are no parquet."""

    paths: tuple[str, ...]
    file: np.ndarray
    number: np.ndarray
    first: np.ndarray
    rows: np.ndarray
    bytes: np.ndarray
    damage: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.file)


def read_footers(paths: tuple[str, ...]) -> tuple[RowGroups, "pyarrow.Schema | None"]:
    """Every row group that has rows, and the schema of the first file; None where no file can be
    read.

    Raises MuseError for a remote file that cannot be fetched, and for a row group that is too large
    to be held."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        footers = list(
            tqdm(pool.map(_footer, paths), desc="reading footers", total=len(paths), delay=2.0)
        )
    rows = [
        row
        for place, (groups, _, _) in enumerate(footers)
        for row in ((place, *group) for group in groups)
    ]
    columns = np.array(rows, np.int64).reshape(-1, 5).T
    found = RowGroups(paths, *columns, damage=tuple(note for _, _, note in footers if note))
    if found.bytes.max(initial=0) > LARGEST:
        worst = int(found.bytes.argmax())
        raise MuseError(
            f"A row group of {paths[found.file[worst]]} has {found.bytes[worst]:,} bytes, more than the {LARGEST:,} that are "
            "held in memory: write the file again with fewer rows in a group, or use hf: instead of hf-stream:."
        )
    return found, next((schema for _, schema, _ in footers if schema is not None), None)


def _footer(path: str) -> tuple[list[tuple[int, int, int, int]], "pyarrow.Schema | None", str]:
    """((number, first row, rows, bytes) of each group, schema, what is wrong)."""
    try:
        return _patiently(path, _groups_and_schema)
    except Unreadable as reason:
        return [], None, f"{path.rsplit('/', 1)[-1]}: {reason}"


def _groups_and_schema(
    file: "ParquetFile",
) -> tuple[list[tuple[int, int, int, int]], "pyarrow.Schema", str]:
    groups, first = [], 0
    for number in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(number)
        groups += (
            [(number, first, group.num_rows, group.total_byte_size)] if group.num_rows > 0 else []
        )
        first += group.num_rows
    return groups, file.schema_arrow, ""


def _patiently(
    path: str, read: Callable[["ParquetFile"], Read], footer: "FileMetaData | None" = None
) -> Read:
    """What ``read`` makes of the open file, whose ``footer`` may be known. A remote one is tried
    again; a local one that fails is damaged.

    Raises MuseError for a remote and Unreadable for a local file.
    """
    import fsspec.core
    import pyarrow.parquet as parquet

    remote = "://" in path and not path.startswith("file://")
    for wait in (*(WAITS if remote else ()), None):
        try:
            system, inner = fsspec.core.url_to_fs(path)
            with system.open(
                inner, "rb", cache_type="none"
            ) as file:  # Arrow asks for what it needs in few large pieces
                return read(parquet.ParquetFile(file, metadata=footer, pre_buffer=True))
        except Exception as error:  # Arrow, fsspec and every file system have errors of their own
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(
                "."
            )
            if wait is not None:
                time.sleep(wait)
            elif remote:
                raise MuseError(
                    f"The file {path} cannot be read ({reason}): mend the network and go on with `resume true`."
                ) from error
            else:
                raise Unreadable(f"cannot be read: {reason}") from error


@dataclass
class _Held:
    """A row group in memory: the rows that were not asked for yet, and how many groups had been
    fetched at the last one.
    """

    table: "pyarrow.Table"
    wanted: set[int]
    last: int


class RowGroupReader:
    """Rows by group. At most ``places`` groups are held at a time, each until all its rows were
    asked for, or until many others were fetched and nobody came back to it: another reader had its
    last rows, or a stage ended in the middle."""

    def __init__(self, groups: RowGroups, columns: list[str]) -> None:
        self.groups, self.columns = groups, columns
        self.places = min(MOST_LANES, MOST_BYTES // max(1, int(groups.bytes.max(initial=0))))
        self.fetched = 0
        self._held: OrderedDict[int, _Held] = OrderedDict()
        self._damaged: dict[int, str] = {}
        self._footers: dict[int, FileMetaData] = {}

    def row(self, group: int, number: int) -> dict[str, Any]:
        """One row of a group. Raises Unreadable for a damaged local file, MuseError for a remote
        one out of reach.
        """
        if group in self._damaged:
            raise Unreadable(self._damaged[group])
        if group not in self._held:
            table = self._fetched(group)
            self._make_room()
            self._held[group] = _Held(table, set(range(len(table))), self.fetched)
        held = self._held[group]
        held.last = self.fetched
        self._held.move_to_end(group)
        held.wanted.discard(number)
        if not held.wanted:
            del self._held[group]
        if number >= len(held.table):
            raise Unreadable("its row group has fewer rows than its file says")
        return held.table.slice(number, 1).to_pylist()[0]

    def _make_room(self) -> None:
        self.fetched += 1
        while self._held:
            oldest, held = next(iter(self._held.items()))
            if len(self._held) < self.places and self.fetched - held.last <= PATIENCE * self.places:
                return
            del self._held[oldest]

    def _fetched(self, group: int) -> "pyarrow.Table":
        place, number = int(self.groups.file[group]), int(self.groups.number[group])

        def read(file: "ParquetFile") -> "pyarrow.Table":
            if len(self._footers) >= MOST_LANES:
                self._footers.clear()
            self._footers[place] = file.metadata
            return file.read_row_group(number, columns=self.columns, use_threads=False)

        try:
            return _patiently(self.groups.paths[place], read, self._footers.get(place))
        except Unreadable as reason:
            self._damaged[group] = str(reason)
            raise

    def __getstate__(self) -> dict[str, Any]:
        """What is held stays behind: a process that is sent this reads its own."""
        return vars(self) | {"_held": OrderedDict(), "_damaged": {}, "_footers": {}}
