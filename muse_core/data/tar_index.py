"""`read_index`: the samples of several shards, each walked over once and then remembered on disk.

Every process takes the shards in an order of its own, so that several that start together share the
work: whoever comes to a shard second finds it remembered."""

import random
from functools import lru_cache
from pathlib import Path

import numpy as np
from tqdm import tqdm

from muse_core.data.tar_cache import COLUMNS, Stamp, recalled, remember
from muse_core.data.tar_offsets import ShardIndex, scanned
from muse_core.errors import MuseError


def read_index(paths: tuple[Path, ...]) -> ShardIndex:
    """The samples of these shards; asked for again in the same process, the very same object while
    the files stay the same.

    Raises MuseError for a shard that is missing or cannot be opened.
    """
    return _read_index(tuple((path, stamp_of(path)) for path in paths))


def stamp_of(path: Path) -> Stamp:
    """What tells a changed shard from the same one. Raises MuseError for a shard that is missing."""
    try:
        state = path.stat()
    except (OSError, ValueError) as error:
        raise MuseError(
            f"There is no shard {path}: check the pattern, or write shards with `muse shards`."
        ) from error
    return state.st_size, state.st_mtime_ns


@lru_cache(maxsize=8)
def _read_index(stamped: tuple[tuple[Path, Stamp], ...]) -> ShardIndex:
    own_order = random.SystemRandom().sample(range(len(stamped)), len(stamped))
    found = {
        place: _of_one(*stamped[place])
        for place in tqdm(own_order, desc="reading shards", delay=2.0)
    }
    several = [found.pop(place) for place in range(len(stamped))]
    joined = {name: np.concatenate([getattr(one, name) for one in several]) for name in COLUMNS}
    shard = np.repeat(np.arange(len(several), dtype=np.int32), [len(one) for one in several])
    damage = tuple(note for one in several for note in one.damage)
    return ShardIndex(tuple(path for path, _ in stamped), shard, **joined, damage=damage)


def _of_one(path: Path, stamp: Stamp) -> ShardIndex:
    found = recalled(path, stamp)
    if found is None:
        found = scanned(path)
        if stamp_of(path) == stamp:
            remember(found, stamp)
    return found
