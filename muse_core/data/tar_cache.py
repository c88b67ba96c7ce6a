"""What was found in a shard, kept on disk: the walk over 36 million headers is made once, not by
every process at every start.

One small safetensors file a shard, in the workspace and not beside the shard: folders of data are
often read-only, and what comes with somebody else's data is not trusted. So building may be
interrupted, a shard that changed is read anew alone, and several processes may write at the same
time: each file appears whole, and whose it is does not matter."""

from contextlib import suppress
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from muse_core import paths
from muse_core.data import splits, tar_members
from muse_core.data import tar_offsets as shard_index
from muse_core.data.tar_offsets import ShardIndex
from muse_core.errors import MuseError
from muse_core.results.tensor_files import read_stored, write_stored

Stamp = tuple[int, int]
"""Bytes of a shard, and when it was changed, in nanoseconds."""

WORTH_KEEPING = 1 << 20
"""Bytes; a smaller shard is walked over as fast as a file about it is read."""

NUMBERS = ("fractions", "labels", "blocks", "sizes")
COLUMNS = ("keys", *NUMBERS)
"""Of a `ShardIndex`, one row a sample."""


def recalled(path: Path, stamp: Stamp) -> ShardIndex | None:
    """What `remember` kept of this very shard; None where it kept nothing, another state of it, or
    the file is damaged.
    """
    stored = read_stored(_file(path)) if stamp[0] >= WORTH_KEEPING else None
    if stored is None:
        return None
    tensors, note = stored
    if note.get("digest") != _digest(path, stamp, tensors, note.get("damage")):
        return None
    numbers = {
        name: tensors[name].numpy().copy() for name in NUMBERS
    }  # copies: the file's memory map is given back
    shard = np.zeros(len(numbers["labels"]), np.int32)
    return ShardIndex(
        (path,), shard, _as_names(tensors["keys"].numpy()), **numbers, damage=tuple(note["damage"])
    )


def remember(index: ShardIndex, stamp: Stamp) -> None:
    """Keep the index of one shard; where the disk refuses, it is read anew the next time."""
    (path,) = index.paths
    if stamp[0] < WORTH_KEEPING:
        return
    columns = {name: getattr(index, name) for name in NUMBERS} | {"keys": _as_bytes(index.keys)}
    tensors = {name: torch.from_numpy(column) for name, column in columns.items()}
    damage = list(index.damage)
    with suppress(MuseError):
        write_stored(
            _file(path),
            (tensors, {"damage": damage, "digest": _digest(path, stamp, tensors, damage)}),
        )


def _file(path: Path) -> Path:
    """Named by a hash of the shard's path, which may itself be no file's name."""
    return (
        paths.shard_indexes() / f"{blake2b(_encoded(path), digest_size=16).hexdigest()}.safetensors"
    )


def _digest(path: Path, stamp: Stamp, tensors: dict[str, Tensor], damage: object) -> str:
    """A hash of what the file says, of the shard it speaks about, and of the code that read the
    shard.
    """
    facts = (
        stamp,
        damage,
        [(name, tensors[name].dtype, tuple(tensors[name].shape)) for name in sorted(tensors)],
    )
    digest = blake2b(
        _encoded(path) + _code() + repr(facts).encode("utf-8", "surrogateescape"), digest_size=16
    )
    for name in sorted(tensors):
        digest.update(tensors[name].numpy())
    return digest.hexdigest()


@lru_cache
def _code() -> bytes:
    """The files that decide what is a sample, and its hash: when they change, everything is read
    anew.
    """
    return b"".join(
        Path(str(module.__file__)).read_bytes() for module in (shard_index, splits, tar_members)
    )


def _as_bytes(names: np.ndarray) -> np.ndarray:
    """(n,) names -> (n, width) bytes."""
    return names.view(np.uint8).reshape(len(names), names.dtype.itemsize)


def _as_names(content: np.ndarray) -> np.ndarray:
    """(n, width) bytes -> (n,) names."""
    return content.copy().reshape(-1).view(f"S{content.shape[1]}")


def _encoded(path: Path) -> bytes:
    return str(path).encode("utf-8", "surrogateescape")
