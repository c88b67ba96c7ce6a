"""What the frozen teacher said of an image, kept on disk for when the image comes again: in a later
stage, another arm or another seed of a study.

An entry is found by the image's own pixels, in a file named by the teacher's weights and the code
that asks it, so that nothing has to be said when any of them changes. Values are what the teacher
gives, in half precision, with a cache or without one.
"""

import hashlib
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from shutil import disk_usage

import numpy as np
import torch
from jaxtyping import Float16
from torch import Tensor

from muse_core import paths
from muse_core.attention import QueryKeys
from muse_core.foundations.topology_teacher import TeacherView, TopologyTeacher, observe
from muse_core.results.trained_code import code_digests
from muse_core.shapes import Images
from muse_core.training.freshness import weights_digest

GIGABYTE = 10**9
ASKED_BY = ("foundations",)
"""Folders whose code decides what a view is."""
PATIENCE = 30.0
"""Seconds to wait for another process that writes."""
LARGEST = torch.finfo(torch.float16).max
MOST_ASKED = 500
"""Images in one question to the file."""


class TeacherCache:
    """Views of one teacher on disk; several processes may share them.

    Args:
        teacher: Whose views.
        gigabytes: How large the folder of all caches may become. A full one takes no more; the
            caches of other teachers are deleted first, the longest unused one before the others.
    """

    def __init__(self, teacher: TopologyTeacher, gigabytes: float) -> None:
        self.teacher, self.limit = teacher, gigabytes * GIGABYTE
        self.hits = self.asked = 0
        self._example: TeacherView | None = None
        self._file: sqlite3.Connection | None = None
        self._closed = gigabytes <= 0
        self._room = 0.0

    def look(self, images: Images) -> TeacherView:
        """As the teacher sees images (batch, 3, height, width) in [0, 1], in half precision."""
        file = self._opened()
        if file is None:
            return halved(observe(self.teacher, images))
        if self._example is None:
            self._example = halved(observe(self.teacher, images[:1]))
        keys = _keys(images)
        try:
            size = 2 * packed(self._example).shape[1]
            known = {key: seen for key, seen in _rows(file, keys) if len(seen) == size}
            fresh = [at for at, key in enumerate(keys) if key not in known]
            self.asked, self.hits = self.asked + len(keys), self.hits + len(keys) - len(fresh)
            if fresh:
                seen = packed(halved(observe(self.teacher, images[fresh]))).cpu().numpy()
                rows = {keys[at]: row.tobytes() for at, row in zip(fresh, seen, strict=True)}
                known |= rows
                self._keep(file, rows)
        except sqlite3.Error as error:
            self._give_up(error)
            return halved(observe(self.teacher, images))
        found = np.frombuffer(bytearray(b"".join(known[key] for key in keys)), np.float16)
        values = torch.from_numpy(found).view(len(keys), -1)
        return unpacked(values.to(images.device), self._example)

    def _opened(self) -> sqlite3.Connection | None:
        """The file of this teacher; None where there is none to be had."""
        if self._file is None and not self._closed:
            folder, name = paths.teacher_views(), _name(self.teacher)
            try:
                folder.mkdir(parents=True, exist_ok=True)
                file = folder / f"{name}.sqlite"
                room = self.limit - _make_room(folder, file, self.limit)
                self._room = min(room, disk_usage(folder).free / 2)
                self._file = sqlite3.connect(file, timeout=PATIENCE)
                self._file.execute("PRAGMA page_size=65536")
                self._file.execute("PRAGMA journal_mode=WAL")
                self._file.execute("PRAGMA wal_autocheckpoint=64")
                self._file.execute("PRAGMA synchronous=OFF")
                self._file.execute(
                    "CREATE TABLE IF NOT EXISTS views (image BLOB PRIMARY KEY, seen BLOB)"
                )
            except (sqlite3.Error, OSError) as error:
                self._give_up(error)
        return self._file

    def _keep(self, file: sqlite3.Connection, rows: dict[bytes, bytes]) -> None:
        self._room -= sum(map(len, rows.values()))
        if self._room > 0:
            with file:
                file.executemany("INSERT OR REPLACE INTO views VALUES (?, ?)", rows.items())

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


def _name(teacher: TopologyTeacher) -> str:
    shape = type(teacher).__name__, teacher.layers, teacher.image_size, teacher.num_heads
    how = f"{weights_digest(teacher)} {shape} {code_digests(ASKED_BY)}"
    return hashlib.blake2b(how.encode(), digest_size=8).hexdigest()


def _keys(images: Images) -> list[bytes]:
    """Of each image, by its pixels and the precision in which the teacher would look now."""
    kind = images.device.type
    precision = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32
    person, pixels = str(precision).encode()[-16:], images.detach().cpu().contiguous()
    return [
        hashlib.blake2b(each.numpy().tobytes(), digest_size=16, person=person).digest()
        for each in pixels
    ]


def _rows(file: sqlite3.Connection, keys: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    for first in range(0, len(keys), MOST_ASKED):
        asked = keys[first : first + MOST_ASKED]
        marks = ",".join("?" * len(asked))
        yield from file.execute(f"SELECT image, seen FROM views WHERE image IN ({marks})", asked)


def _make_room(folder: Path, own: Path, limit: float) -> int:
    """Delete the caches of other teachers where all together are over the limit; bytes that
    remain.
    """
    files = sorted(folder.glob("*.sqlite*"), key=lambda file: file.stat().st_mtime)
    total = sum(file.stat().st_size for file in files)
    for file in files:
        if total > 0.9 * limit and not file.name.startswith(own.name):
            total -= file.stat().st_size
            file.unlink(missing_ok=True)
    return total
