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
from typing import Any, BinaryIO

import numpy as np
import torch
from tqdm import tqdm

from muse_core import paths
from muse_core.data.batch import NO_LABEL
from muse_core.data.decode import image_suffixes
from muse_core.data.notes import Notes, kind_of
from muse_core.data.splits import hash_fraction
from muse_core.data.text_files import decoded
from muse_core.errors import MuseError
from muse_core.results.tensor_files import read_stored, write_stored

ROLES = ("image", "text", "json", "class_mask", "instance_mask")
EXTENSIONS = {
    **dict.fromkeys((suffix[1:] for suffix in image_suffixes()), "image"),
    "txt": "text",
    "json": "json",
    "cls": "label",
    "seg.png": "class_mask",
    "instances.png": "instance_mask",
}
"""What follows a sample's name and a dot -> what it is, in any case; others are noted."""

MOST_BYTES = 1 << 28
"""Of one member."""
MOST_CLASSES = 1_000_000
LONGEST_KEY = 200
WORTH_KEEPING = 1 << 20
"""Bytes; a smaller shard is walked over as fast as a file about it is read."""
FIRST_WORD = -2
"""A shard's labels in words are numbered downwards from here until all shards are known."""
FORMAT = 5
"""To be counted up when this file finds other samples, or keeps them in another way."""

_KEY = re.compile(r"((?:.*/)?[^/.]+)\.([^/]+)", re.DOTALL)
_DOTTED = re.compile(
    rf"((?:.*/)?[^/.][^/]*?)\.({'|'.join(map(re.escape, EXTENSIONS))})", re.DOTALL | re.IGNORECASE
)


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
        classes: the names of the labels, where they are words.
    """

    paths: tuple[Path, ...]
    samples: np.ndarray
    notes: Notes
    classes: tuple[str, ...] = ()


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
    notes = Notes()
    for one in found:
        notes.include(one.notes)
    classes = _named_alike(found, samples, notes)
    return ShardIndex(tuple(path for path, *_ in stamped), samples, notes, classes)


def _named_alike(found: list[ShardIndex], samples: np.ndarray, notes: Notes) -> tuple[str, ...]:
    """The classes of all shards, where labels are words; ``samples`` are numbered by them. Words
    beside numbers are no class, and noted.
    """
    words = {word for one in found for word in one.classes}
    labels = samples["label"]
    if not words:
        return ()
    spelled = labels <= FIRST_WORD
    if (labels >= 0).any():
        mend = "write either numbers or words into .cls"
        notes.add("label in words beside others in numbers", min(words), mend, int(spelled.sum()))
        labels[spelled] = NO_LABEL
        return ()
    classes = tuple(sorted(words))
    place = {word: number for number, word in enumerate(classes)}
    starts = np.cumsum([0, *(len(one.samples) for one in found)])
    for one, start in zip(found, starts, strict=False):
        part = labels[start : start + len(one.samples)]
        own = np.array([place[word] for word in one.classes], np.int32)
        part[part <= FIRST_WORD] = own[FIRST_WORD - part[part <= FIRST_WORD]]
    return classes


def _kept_or_scanned(path: Path, size: int, changed: int) -> ShardIndex:
    if size < WORTH_KEEPING:
        return scanned(path)
    name = f"{FORMAT}/{path}/{size}/{changed}".encode("utf-8", "surrogateescape")
    file = paths.shard_indexes() / f"{blake2b(name, digest_size=16).hexdigest()}.safetensors"
    if (kept := read_stored(file)) is not None:
        # A copy, so that the file's memory map is given back.
        samples = kept[0]["samples"].numpy().copy().view(_row_type(kept[1]["width"]))
        return ShardIndex((path,), samples, _notes(kept[1]["notes"]), tuple(kept[1]["classes"]))
    found = scanned(path)
    content = torch.from_numpy(found.samples.view(np.uint8))
    told = [[*kind, *seen] for kind, seen in found.notes.found.items()]
    width = found.samples.dtype["key"].itemsize
    note = {"notes": told, "width": width, "classes": list(found.classes)}
    if _stamp(path) == (size, changed):
        # Where the disk refuses, the shard is walked over again the next time.
        with suppress(MuseError):
            write_stored(file, ({"samples": content}, note))
    return found


def _notes(told: list[list[Any]]) -> Notes:
    return Notes({(what, mend): (count, first) for what, mend, count, first in told})


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
    notes, shard = Notes(), f"{path.parent.name}/{path.name}"
    words: dict[str, int] = {}
    try:
        with path.open("rb") as file:
            rows = [sample.row(words) for sample in _samples(file, shard, notes)]
    except OSError as error:
        raise MuseError(
            f"The shard {path} cannot be read ({error.strerror}): copy it again, or mend its "
            "permissions."
        ) from error
    if not rows:
        notes.add("shard without a sample that has an image", shard, "give other shards")
    samples = np.array(rows, _row_type(max((len(key) for _, key, *_ in rows), default=1)))
    return ShardIndex((path,), samples, notes, tuple(words))


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
    """``label``: a class by number or by word. ``places``: role -> (offset, size)."""

    key: str
    label: int | str = NO_LABEL
    places: dict[str, tuple[int, int]] = field(default_factory=dict)

    def row(self, words: dict[str, int]) -> tuple:
        """``words``: those of the labels so far, by place, and gains this one's."""
        offsets, sizes = zip(*(self.places.get(role, (0, 0)) for role in ROLES), strict=True)
        key = self.key.encode("utf-8", "surrogateescape")
        label = self.label
        if isinstance(label, str):
            label = FIRST_WORD - words.setdefault(label, len(words))
        return 0, key, hash_fraction(self.key), label, offsets, sizes


_Member = tuple[str, str, tarfile.TarInfo]
"""A sample's name, a role, and where its bytes are."""


def _members(file: BinaryIO, shard: str, notes: Notes) -> Iterator[tarfile.TarInfo]:
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
                        name = f"{shard}/{member.name}"
                        notes.add(
                            "member without bytes (a link or a device)",
                            name,
                            "store the file itself",
                        )
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
        where = f"{shard} behind byte {place:,}"
        notes.add("shard damaged or cut short", where, "copy it again: what follows is not used")


def _samples(file: BinaryIO, shard: str, notes: Notes) -> list[_Sample]:
    """The samples that have an image, also where their other members stand elsewhere in the shard;
    what is not used is noted.
    """
    whole: list[_Sample] = []
    apart: list[tuple[str, list[_Member]]] = []
    last: dict[str, _Sample] = {}
    used = _used(list(_members(file, shard, notes)), shard, notes)
    for key, run in groupby(used, key=lambda one: one[0]):
        members = list(run)
        if any(role == "image" for _, role, _ in members):
            last[key] = _Sample(key)
            whole.append(last[key])
        if key in last:
            _fill(last[key], members, file, shard, notes)
        else:
            apart.append((key, members))
    for key, members in apart:
        if key in last:
            _fill(last[key], members, file, shard, notes)
        else:
            notes.add("sample without an image", f"{shard}/{key}", "add its image")
    return whole


def _used(members: list[tarfile.TarInfo], shard: str, notes: Notes) -> list[_Member]:
    """What is read of the members: the sample's name, the role, the member. A name ends at its
    first dot, as WebDataset has it; where no such sample is there, at its last known ending.
    """
    names = [one.name.removeprefix("./") for one in members]
    first = [_KEY.fullmatch(name) for name in names]
    plain = {one[1] for one in first if one and one[2].lower() in EXTENSIONS}
    found = []
    for name, member, key in zip(names, members, first, strict=True):
        known = key if key and key[1] in plain else _DOTTED.fullmatch(name)
        role = EXTENSIONS.get(known[2].lower()) if known else None
        if known is None or role is None:
            what = f"member of a kind that is not read ({kind_of(name)})"
            notes.add(what, f"{shard}/{name}", "store JPEG, PNG or WebP, and words as .txt")
        elif len(known[1]) > LONGEST_KEY:
            notes.add("member with too long a name", f"{shard}/{name}", "shorten it")
        else:
            found.append((known[1], role, member))
    return found


def _fill(
    sample: _Sample, members: list[_Member], file: BinaryIO, shard: str, notes: Notes
) -> None:
    for _, role, member in members:
        if unused := _add(sample, role, member, file):
            notes.add(unused, f"{shard}/{member.name}", "mend it")


def _add(sample: _Sample, role: str, member: tarfile.TarInfo, file: BinaryIO) -> str:
    """Why the member is not used, if it is not."""
    if member.size > MOST_BYTES:
        return f"member with more than {MOST_BYTES:,} bytes"
    if role in sample.places or (role == "label" and sample.label != NO_LABEL):
        return f"{role} beside another of its sample"
    if role == "label":
        text = os.pread(file.fileno(), min(member.size, LONGEST_KEY), member.offset_data)
        word = " ".join(decoded(text).split())
        number = word.isascii() and word.isdigit()
        if not (int(word) < MOST_CLASSES if number else re.search(r"[^\W\d_]", word)):
            return "label without a class number or name"
        sample.label = int(word) if number else word
    else:
        sample.places[role] = (member.offset_data, member.size)
    return ""
