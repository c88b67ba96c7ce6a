"""Open shards: reading by position, so that processes may share a handle, and few handles at a
time.
"""

import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

from muse_core.data.decode import Unreadable

MOST_OPEN = 64
"""Handles a process keeps; common systems allow 1,024."""


class ShardFiles:
    """The shards of a source, opened when first read in each process."""

    def __init__(self, paths: tuple[Path, ...]) -> None:
        self.paths = paths
        self._open: OrderedDict[int, int] = OrderedDict()

    def read(self, shard: int, offset: int, size: int) -> bytes:
        """The bytes of one member. Raises Unreadable where the shard has gone, ends before them, or
        the disk fails.
        """
        try:
            content = os.pread(self._descriptor(shard), size, offset)
        except OSError as error:
            raise Unreadable(f"{self.paths[shard].name}: {error.strerror}") from error
        if len(content) < size:
            raise Unreadable(f"{self.paths[shard].name} ends before it")
        return content

    def _descriptor(self, shard: int) -> int:
        if shard not in self._open:
            if len(self._open) >= MOST_OPEN:
                os.close(self._open.popitem(last=False)[1])
            self._open[shard] = os.open(self.paths[shard], os.O_RDONLY | os.O_CLOEXEC)
        self._open.move_to_end(shard)
        return self._open[shard]

    def __getstate__(self) -> dict[str, Any]:
        """Handles stay behind: a process that is sent this opens its own."""
        return {"paths": self.paths, "_open": OrderedDict()}

    def __del__(self) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)
