"""Where each sample of some tar shards lies: offsets and sizes in a table, no pixels.

A sample is the run of members whose names agree up to the first dot of the file name, as WebDataset
groups them. `tarfile` finds the members; nothing is extracted and no link is followed. A walk over
36 million headers is made once and kept on disk, one small file a shard: in the workspace, since
folders of data are often read-only, and named by the shard's path, size and time of change, so that
a shard that changed is walked over again.
"""

import os
import re
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from tqdm import tqdm

from muse_core import paths
from muse_core.data.batch import NO_LABEL
from muse_core.data.splits import hash_fraction
from muse_core.errors import MuseError
from muse_core.results.tensor_files import read_stored, write_stored

ROLES = ("image", "text", "json", "class_mask", "instance_mask")
EXTENSIONS = {
    **dict.fromkeys(("jpg", "jpeg", "png", "webp"), "image"),
    "txt": "text",
    "json": "json",
    "cls": "label",
    "seg.png": "class_mask",
    "instances.png": "instance_mask",
}
"""What follows the first dot of a member's name -> what it is; others are passed over."""

MOST_BYTES = 1 << 28
"""Of one member."""
MOST_CLASSES = 1_000_000
MOST_NOTES = 100
"""Of one shard; the rest are counted."""
LONGEST_KEY = 200
WORTH_KEEPING = 1 << 20
"""Bytes; a smaller shard is walked over as fast as a file about it is read."""
FORMAT = 3
"""To be counted up when this file finds other samples, or keeps them in another way."""

_KEY = re.compile(r"((?:.*/)?[^/.]+)\.([^/]+)", re.DOTALL)


@dataclass(frozen=True)
class ShardIndex:
    """The samples of several shards, in the order they are stored.

    Args:
        paths: the shards.
        samples: (n,) a table with the columns ``shard`` (place in ``paths``), ``key`` (bytes),
            ``fraction`` (the `hash_fraction` of the key), ``label`` (`NO_LABEL` where there is
            none), ``offset`` and ``size`` (n, ROLES): where a member's bytes start, and how many
            they are; offset 0 is no member.
        notes: what is in the shards and not used.
    """

    paths: tuple[Path, ...]
    samples: np.ndarray
    notes: tuple[str, ...]


def read_index(shards: tuple[Path, ...]) -> ShardIndex:
    """The samples of these shards, each walked over once and then kept.

    Raises:
        MuseError: for a shard that is absent or cannot be read.
    """
    return _read_index(tuple((path, *_stamp(path)) for path in shards))


@lru_cache(maxsize=8)
def _read_index(stamped: tuple[tuple[Path, int, int], ...]) -> ShardIndex:
    found = [_kept_or_scanned(*one) for one in tqdm(stamped, desc="reading shards", delay=2.0)]
    samples = np.concatenate([one.samples for one in found])
    samples["shard"] = np.repeat(np.arange(len(found)), [len(one.samples) for one in found])
    notes = tuple(note for one in found for note in one.notes)
    return ShardIndex(tuple(path for path, *_ in stamped), samples, notes)


def _kept_or_scanned(path: Path, size: int, changed: int) -> ShardIndex:
    if size < WORTH_KEEPING:
        return scanned(path)
    name = f"{FORMAT}/{path}/{size}/{changed}".encode("utf-8", "surrogateescape")
    file = paths.shard_indexes() / f"{blake2b(name, digest_size=16).hexdigest()}.safetensors"
    if (kept := read_stored(file)) is not None:
        # A copy, so that the file's memory map is given back.
        samples = kept[0]["samples"].numpy().copy().view(_row_type(kept[1]["width"]))
        return ShardIndex((path,), samples, tuple(kept[1]["notes"]))
    found = scanned(path)
    content = torch.from_numpy(found.samples.view(np.uint8))
    note = {"notes": found.notes, "width": found.samples.dtype["key"].itemsize}
    if _stamp(path) == (size, changed):
        # Where the disk refuses, the shard is walked over again the next time.
        with suppress(MuseError):
            write_stored(file, ({"samples": content}, note))
    return found


def _stamp(path: Path) -> tuple[int, int]:
    """What tells a changed shard from the same one: its bytes, and when it was changed."""
    try:
        state = path.stat()
    except (OSError, ValueError) as error:
        raise MuseError(
            f"There is no shard {path}: check the pattern, or write shards with `muse shards`."
        ) from error
    return state.st_size, state.st_mtime_ns


def scanned(path: Path) -> ShardIndex:
    """The samples of one shard, and notes of what in it is not used: one walk over its headers.

    Raises:
        MuseError: for a shard that cannot be opened or read.
    """
    notes: list[str] = []
    try:
        with path.open("rb") as file:
            rows = [sample.row() for sample in _samples(file, notes)]
    except OSError as error:
        raise MuseError(
            f"The shard {path} cannot be read ({error.strerror}): copy it again, or mend its "
            "permissions."
        ) from error
    if not rows:
        notes.append("holds no samples with an image")
    samples = np.array(rows, _row_type(max((len(key) for _, key, *_ in rows), default=1)))
    shard, more = f"{path.parent.name}/{path.name}", len(notes) - MOST_NOTES
    kept = [*notes[:MOST_NOTES], *([f"and {more:,} more like these"] if more > 0 else [])]
    return ShardIndex((path,), samples, tuple(f"{shard}: {note}" for note in kept))


def _row_type(width: int) -> np.dtype:
    """Of `ShardIndex.samples`; ``width``: bytes of the longest key."""
    return np.dtype(
        [
            ("shard", np.int32),
            ("key", f"S{width}"),
            ("fraction", np.float64),
            ("label", np.int32),
            ("offset", np.int64, (len(ROLES),)),
            ("size", np.uint32, (len(ROLES),)),
        ]
    )


@dataclass
class _Sample:
    """``places``: role -> (offset, size)."""

    key: str
    label: int = NO_LABEL
    places: dict[str, tuple[int, int]] = field(default_factory=dict)

    def row(self) -> tuple:
        offsets, sizes = zip(*(self.places.get(role, (0, 0)) for role in ROLES), strict=True)
        key = self.key.encode("utf-8", "surrogateescape")
        return 0, key, hash_fraction(self.key), self.label, offsets, sizes


def _members(file: BinaryIO, notes: list[str]) -> Iterator[tarfile.TarInfo]:
    """The regular files of an uncompressed tar, up to its end or the first damage."""
    length, place = os.fstat(file.fileno()).st_size, 0
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            while (member := tar.next()) is not None:
                if tar.offset <= place or member.size < 0:
                    # A crafted header leads back, and tarfile before 3.11.14 would follow it for
                    # ever (CVE-2025-8194).
                    raise tarfile.ReadError
                place = tar.offset
                if not member.isreg() or member.issparse():
                    if not member.isdir():
                        notes.append(f"{_shown(member.name)} is a link or a device, no file")
                elif member.offset_data + member.size > length:
                    raise tarfile.ReadError
                else:
                    yield member
            rest = os.pread(file.fileno(), 1 << 16, tar.offset)
            if not rest or rest.strip(b"\0"):
                raise tarfile.ReadError
    except OSError:
        raise
    except Exception:
        # Damaged headers make tarfile raise nearly anything.
        notes.append(f"damaged or cut short behind byte {place:,}: what follows is not used")


def _samples(file: BinaryIO, notes: list[str]) -> Iterator[_Sample]:
    """The samples that have an image; what else is not used is noted."""
    found = ((_KEY.fullmatch(one.name.removeprefix("./")), one) for one in _members(file, notes))
    used = [
        (name[1], EXTENSIONS[name[2].lower()], member)
        for name, member in found
        if name and len(name[1]) <= LONGEST_KEY and name[2].lower() in EXTENSIONS
    ]
    for key, run in groupby(used, key=lambda one: one[0]):
        sample = _Sample(key)
        for _, role, member in run:
            if unused := _add(sample, role, member, file):
                notes.append(f"{_shown(member.name)} {unused}")
        if "image" in sample.places:
            yield sample
        else:
            notes.append(f"{_shown(key)} has no image")


def _add(sample: _Sample, role: str, member: tarfile.TarInfo, file: BinaryIO) -> str:
    """Why the member is not used, if it is not."""
    if member.size > MOST_BYTES:
        return f"has {member.size:,} bytes, more than the {MOST_BYTES:,} that are read"
    if role in sample.places:
        return f"is the second {role} of its sample"
    if role == "label":
        text = os.pread(file.fileno(), min(member.size, 64), member.offset_data).strip()
        if not text.isdigit() or int(text) >= MOST_CLASSES:
            return "is not a class number"
        sample.label = int(text)
    else:
        sample.places[role] = (member.offset_data, member.size)
    return ""


def _shown(name: str) -> str:
    return name[:100].encode("utf-8", "replace").decode()
