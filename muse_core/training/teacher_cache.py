"""What the frozen teacher said of an image, kept on disk for when the image comes again: in a later
stage, another arm or another seed of a study.

An entry is found by the image's own pixels, in a folder named by the teacher's weights, the code
that asks it and the libraries below, so that nothing has to be said when any of these changes.
Values are what the teacher gives, in half precision, with a cache or without one.
"""

import hashlib
import os
import platform
import shutil
import sqlite3
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from shutil import disk_usage
from typing import Any

import numpy as np
import torch
from jaxtyping import Float16
from torch import Tensor

from muse_core import attention, paths
from muse_core.attention import QueryKeys
from muse_core.foundations.topology_teacher import TeacherView, TopologyTeacher, observe
from muse_core.results.trained_code import code_digests
from muse_core.shapes import Images
from muse_core.training.freshness import weights_digest

GIGABYTE = 10**9
ASKED_BY = ("foundations",)
"""Folders whose code decides what a view is, beside `muse_core.attention` and this file."""
LIBRARIES = ("torch", "transformers", "timm")
FILE = "views.sqlite"
PATIENCE = 30.0
"""Seconds to wait for another process that writes."""
LEFT_FREE = 2 * GIGABYTE
"""Bytes of the disk that are left to others."""
LARGEST = torch.finfo(torch.float16).max
MOST_ASKED = 500
"""Images in one question to the file."""
CHECK = 4
"""Bytes of the checksum behind a view."""


class TeacherCache:
    """Views of one teacher on disk; several processes of a machine may share them.

    Args:
        teacher: Whose views.
        gigabytes: How large the folder of all caches may become. Where there is no room the caches
            of other teachers are deleted, the longest unused one first; then no more is kept.
    """

    def __init__(self, teacher: TopologyTeacher, gigabytes: float) -> None:
        self.teacher, self.limit = teacher, gigabytes * GIGABYTE
        self.hits = self.asked = 0
        self._example: TeacherView | None = None
        self._folder = Path()
        self._file: sqlite3.Connection | None = None
        self._closed = gigabytes <= 0

    def look(self, images: Images) -> TeacherView:
        """As the teacher sees images (batch, 3, height, width) in [0, 1], in half precision."""
        if self._file is not None and not self._folder.is_dir():
            # Another process needed its room: a file without a folder would grow unseen.
            self._file.close()
            self._file = None
        file = self._opened()
        if file is None:
            return halved(observe(self.teacher, images))
        if self._example is None:
            self._example = halved(observe(self.teacher, images[:1]))
        keys = _keys(images)
        try:
            size = 2 * packed(self._example).shape[1]
            known = dict(_rows(file, keys, size))
            fresh = [at for at, key in enumerate(keys) if key not in known]
            self.asked, self.hits = self.asked + len(keys), self.hits + len(keys) - len(fresh)
            if fresh:
                seen = packed(halved(observe(self.teacher, images[fresh]))).cpu().numpy()
                rows = {keys[at]: row.tobytes() for at, row in zip(fresh, seen, strict=True)}
                known |= rows
                self._keep(file, rows)
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)
            return halved(observe(self.teacher, images))
        found = np.frombuffer(bytearray(b"".join(known[key] for key in keys)), np.float16)
        values = torch.from_numpy(found).view(len(keys), -1)
        return unpacked(values.to(images.device), self._example)

    def _opened(self) -> sqlite3.Connection | None:
        """The file of this teacher; None where there is none to be had."""
        if self._file is None and not self._closed:
            try:
                self._folder = paths.teacher_views() / _name(self.teacher)
                self._folder.mkdir(parents=True, exist_ok=True)
                # Used now: others make room before it.
                os.utime(self._folder)
                self._file = _connected(self._folder / FILE)
            except (sqlite3.Error, OSError) as error:
                self._give_up(error)
        return self._file

    def _keep(self, file: sqlite3.Connection, rows: dict[bytes, bytes]) -> None:
        if _has_room(self._folder, sum(map(len, rows.values())), self.limit):
            os.utime(self._folder)
            checked = [(key, seen + _checksum(seen)) for key, seen in rows.items()]
            with file:
                file.executemany("INSERT OR REPLACE INTO views VALUES (?, ?)", checked)

    def _give_up(self, error: Exception) -> None:
        """A disk that is full or a file that is damaged costs time, and nothing else."""
        print(
            f"The teacher's views are not kept from now on ({error}): training goes on without. "
            f"Delete {paths.teacher_views()} or set teacher_cache=0.",
            file=sys.stderr,
        )
        self._file, self._closed = None, True


def halved(view: TeacherView) -> TeacherView:
    """The view in half precision; what is too large for it becomes its largest number."""
    half = lambda tensor: tensor.clamp(-LARGEST, LARGEST).half()
    layers = tuple(
        QueryKeys(half(layer.queries), half(layer.keys), layer.scale) for layer in view.query_keys
    )
    return TeacherView(layers, half(view.features), view.grid)


def packed(view: TeacherView) -> Float16[Tensor, "batch numbers"]:
    """All numbers of an image side by side."""
    # Autocast to bf16 does not know how to join numbers in half precision.
    with torch.autocast(view.features.device.type, enabled=False):
        return torch.cat([each.flatten(1) for each in _tensors(view)], 1)


def unpacked(rows: Float16[Tensor, "batch numbers"], example: TeacherView) -> TeacherView:
    """The inverse of `packed`; ``example`` is any view of the same teacher."""
    shapes = [each.shape[1:] for each in _tensors(example)]
    parts = rows.split([shape.numel() for shape in shapes], dim=1)
    *flat, features = [part.unflatten(1, shape) for part, shape in zip(parts, shapes, strict=True)]
    pairs = zip(flat[::2], flat[1::2], example.query_keys, strict=True)
    layers = tuple(QueryKeys(queries, keys, layer.scale) for queries, keys, layer in pairs)
    return TeacherView(layers, features, example.grid)


def _tensors(view: TeacherView) -> list[Tensor]:
    both = [tensor for layer in view.query_keys for tensor in (layer.queries, layer.keys)]
    return [*both, view.features]


def _connected(path: Path) -> sqlite3.Connection:
    """Raises sqlite3.Error where the file is none, or locked for longer than `PATIENCE`."""
    file, began = sqlite3.connect(path, timeout=PATIENCE), time.monotonic()
    file.execute("PRAGMA page_size=65536")
    while True:
        try:
            file.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError as error:
            # Alone of all that is asked here, a change of mode does not wait for others.
            if "locked" not in str(error) or time.monotonic() - began > PATIENCE:
                raise
            time.sleep(0.05)
    file.execute("PRAGMA wal_autocheckpoint=64")
    file.execute("PRAGMA synchronous=OFF")
    file.execute("CREATE TABLE IF NOT EXISTS views (image BLOB PRIMARY KEY, seen BLOB)")
    return file


def _has_room(own: Path, needed: int, limit: float) -> bool:
    """Whether so many bytes more fit into ``own``; others beside it make room where they can."""
    sizes = {each: _size(each) for each in own.parent.iterdir()}
    if sizes.get(own, 0) + needed > limit or disk_usage(own.parent).free < LEFT_FREE:
        return False
    others = [each for each in sizes if each != own]
    with suppress(FileNotFoundError):
        for each in sorted(others, key=lambda each: each.stat().st_mtime):
            if sum(sizes.values()) + needed <= limit:
                break
            sizes.pop(each)
            _remove(each)
    return sum(sizes.values()) + needed <= limit


def _size(folder: Path) -> int:
    """Bytes of the files in it; those that another process removes meanwhile do not count."""
    total = 0
    for file in folder.glob("*"):
        with suppress(FileNotFoundError):
            total += file.stat().st_size
    return total


def _remove(folder: Path) -> None:
    """At once, for a process that opens it now: half a file of SQLite's is a damaged one."""
    gone = folder.with_name(f"gone-{os.getpid()}-{folder.name}"[:200])
    with suppress(OSError):
        folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def _checksum(seen: bytes) -> bytes:
    return zlib.crc32(seen).to_bytes(CHECK, "big")


def _name(teacher: TopologyTeacher) -> str:
    shape = type(teacher).__name__, teacher.layers, teacher.image_size, teacher.num_heads
    device = next(teacher.parameters()).device.type
    files = [Path(each).read_bytes() for each in (attention.__file__, __file__)]
    code = hashlib.blake2b(b"".join(files)).hexdigest(), code_digests(ASKED_BY)
    below = device, _machine(), [version(each) for each in LIBRARIES]
    how = f"{weights_digest(teacher)} {_settings(teacher)} {shape} {code} {below}"
    return hashlib.blake2b(how.encode(), digest_size=8).hexdigest()


def _settings(teacher: TopologyTeacher) -> str:
    """What a network does with its weights: its modules, buffers and configuration."""
    buffers = {name: buffer.flatten()[:64].tolist() for name, buffer in teacher.named_buffers()}
    config: Any = getattr(getattr(teacher, "network", None), "config", None)
    known: dict[str, Any] = config.to_dict() if config is not None else {}
    held = {name: value for name, value in known.items() if not name.startswith("_")}
    return f"{teacher!r} {buffers} {sorted(held.items(), key=str)}"


def _machine() -> str:
    """Of a training on several: SQLite cannot share a file between them."""
    alone = os.environ.get("WORLD_SIZE") == os.environ.get("LOCAL_WORLD_SIZE")
    return "" if alone else platform.node()


def _keys(images: Images) -> list[bytes]:
    """Of each image, by its pixels and the precision in which the teacher would look now."""
    kind = images.device.type
    precision = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32
    person, pixels = str(precision).encode()[-16:], images.detach().cpu().contiguous()
    return [
        hashlib.blake2b(each.numpy().tobytes(), digest_size=16, person=person).digest()
        for each in pixels
    ]


def _rows(
    file: sqlite3.Connection, keys: Sequence[bytes], size: int
) -> Iterator[tuple[bytes, bytes]]:
    """The views of ``size`` bytes that are there and whole."""
    for first in range(0, len(keys), MOST_ASKED):
        asked = keys[first : first + MOST_ASKED]
        marks = ",".join("?" * len(asked))
        for key, kept in file.execute(
            f"SELECT image, seen FROM views WHERE image IN ({marks})", asked
        ):
            whole = isinstance(kept, bytes) and len(kept) == size + CHECK
            if whole and _checksum(kept[:-CHECK]) == kept[-CHECK:]:
                yield key, kept[:-CHECK]
