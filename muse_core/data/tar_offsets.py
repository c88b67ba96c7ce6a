"""Where each sample of some shards lies: offsets and sizes in arrays, a few tens of bytes a sample,
no pixels.

A sample is the run of members whose names agree up to the first dot of the file name, as WebDataset
groups them."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tarfile import BLOCKSIZE

import numpy as np

from muse_core.data.batch import NO_LABEL
from muse_core.data.splits import hash_fraction
from muse_core.data.tar_members import Member, Refused, tar_members
from muse_core.errors import MuseError

IMAGE, TEXT, JSON, CLASS_MASK, INSTANCE_MASK = ROLES = (
    "image",
    "text",
    "json",
    "class_mask",
    "instance_mask",
)
LABEL = "label"
EXTENSIONS = {
    **dict.fromkeys(("jpg", "jpeg", "png", "webp"), IMAGE),
    "txt": TEXT,
    "json": JSON,
    "cls": LABEL,
    "seg.png": CLASS_MASK,
    "instances.png": INSTANCE_MASK,
}
"""What follows the first dot of a member's name -> what it is; others are passed over."""

MOST_BYTES = {
    IMAGE: 1 << 28,
    TEXT: 1 << 20,
    JSON: 1 << 20,
    LABEL: 64,
    CLASS_MASK: 1 << 26,
    INSTANCE_MASK: 1 << 26,
}
MOST_CLASSES = 1_000_000
MOST_NOTES = 100
"""Of one shard; the rest are counted."""
LONGEST_KEY = 200

_KEY = re.compile(r"((?:.*/)?[^/.]+)\.([^/]+)", re.DOTALL)


@dataclass(frozen=True)
class ShardIndex:
    """The samples of several shards, in the order they are stored.

    ``shard`` (n,) positions in ``paths``; ``keys`` (n,) bytes and ``fractions`` (n,) their
    `hash_fraction`; ``labels`` (n,); ``blocks`` and ``sizes`` (n, ROLES): where a member starts, in
    units of 512 bytes, and its bytes; block 0 is no member. ``damage`` says what is not used."""

    paths: tuple[Path, ...]
    shard: np.ndarray
    keys: np.ndarray
    fractions: np.ndarray
    labels: np.ndarray
    blocks: np.ndarray
    sizes: np.ndarray
    damage: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.shard)


@dataclass
class _Group:
    """The members of a sample so far."""

    key: str
    label: int = NO_LABEL
    blocks: list[int] = field(default_factory=lambda: [0] * len(ROLES))
    sizes: list[int] = field(default_factory=lambda: [0] * len(ROLES))


def scanned(path: Path) -> ShardIndex:
    """The samples of one shard, and what in it is not used: one walk over its headers.

    Raises MuseError for a shard that cannot be opened or read.
    """
    notes: list[str] = []
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise MuseError(
            f"The shard {path} cannot be opened ({error.strerror}): mend its permissions."
        ) from error
    try:
        groups = list(_groups(descriptor, notes))
    except OSError as error:
        raise MuseError(
            f"The shard {path} cannot be read ({error.strerror}): copy it again."
        ) from error
    finally:
        os.close(descriptor)
    if not groups:
        notes.append("holds no samples with an image")
    return ShardIndex(
        paths=(path,),
        shard=np.zeros(len(groups), np.int32),
        keys=np.array(
            [group.key.encode("utf-8", "surrogateescape") for group in groups], np.bytes_
        ),
        fractions=np.array([hash_fraction(group.key) for group in groups], np.float64),
        labels=np.array([group.label for group in groups], np.int32),
        blocks=np.array([group.blocks for group in groups], np.uint32).reshape(-1, len(ROLES)),
        sizes=np.array([group.sizes for group in groups], np.uint32).reshape(-1, len(ROLES)),
        damage=_shortened(f"{path.parent.name}/{path.name}", notes),
    )


def _groups(descriptor: int, notes: list[str]) -> Iterator[_Group]:
    """The samples that have an image; everything else that is not used is noted."""
    group: _Group | None = None
    for member in tar_members(descriptor):
        if isinstance(member, Refused):
            notes.append(member.reason)
            continue
        key, role = _key_and_role(member.name)
        if role is None or len(key) > LONGEST_KEY:
            continue
        if group is None or group.key != key:
            yield from _finished(group, notes)
            group = _Group(key)
        _add(group, role, member, descriptor, notes)
    yield from _finished(group, notes)


def _key_and_role(name: str) -> tuple[str, str | None]:
    found = _KEY.fullmatch(name.removeprefix("./"))
    return (found[1], EXTENSIONS.get(found[2].lower())) if found else ("", None)


def _add(group: _Group, role: str, member: Member, descriptor: int, notes: list[str]) -> None:
    if member.size > MOST_BYTES[role]:
        notes.append(
            f"{_shown(member.name)} has {member.size:,} bytes, more than the {MOST_BYTES[role]:,} that are read"
        )
    elif role == LABEL:
        group.label = _label(os.pread(descriptor, member.size, member.offset))
        if group.label == NO_LABEL:
            notes.append(f"{_shown(member.name)} is not a class number")
    elif group.blocks[ROLES.index(role)]:
        notes.append(f"{_shown(member.name)} is the second {role} of its sample")
    else:
        group.blocks[ROLES.index(role)], group.sizes[ROLES.index(role)] = (
            member.offset // BLOCKSIZE,
            member.size,
        )


def _finished(group: _Group | None, notes: list[str]) -> Iterator[_Group]:
    if group is not None and group.blocks[ROLES.index(IMAGE)]:
        yield group
    elif group is not None:
        notes.append(f"{_shown(group.key)} has no image")


def _label(content: bytes) -> int:
    text = content.strip()
    return int(text) if text.isdigit() and len(text) < 10 and int(text) < MOST_CLASSES else NO_LABEL


def _shortened(shard: str, notes: list[str]) -> tuple[str, ...]:
    kept = [f"{shard}: {note}" for note in notes[:MOST_NOTES]]
    more = len(notes) - MOST_NOTES
    return (*kept, f"{shard}: and {more:,} more like these") if more > 0 else tuple(kept)


def _shown(name: str) -> str:
    return name[:100].encode("utf-8", "replace").decode()
