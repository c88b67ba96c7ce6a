"""Which image belongs to train, val or test: by a hash of its name, so that adding files moves no
other.
"""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

import numpy as np

from muse_core.errors import MuseError, unknown

SPLITS = ("train", "val", "test")
SPELLINGS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""What people call their splits -> what we call them."""

EIGHT_ONE_ONE = {"train": 0.8, "val": 0.1, "test": 0.1}
HALVES = {"val": 0.5, "test": 0.5}

Part = TypeVar("Part", list[str], np.ndarray)


def hash_fraction(text: str) -> float:
    """A number in [0, 1) that depends on the text alone: the same on every machine, in every
    session.
    """
    return (
        int.from_bytes(
            blake2b(text.encode("utf-8", "surrogateescape"), digest_size=6).digest(), "big"
        )
        / 2**48
    )


def deal(keys: Iterable[str], shares: Mapping[str, float] = EIGHT_ONE_ONE) -> dict[str, list[str]]:
    """Keys dealt to parts by their hash, in hash order; see `deal_positions`."""
    ordered = sorted(keys)
    places = deal_positions(np.array([hash_fraction(key) for key in ordered]), shares)
    return {name: [ordered[place] for place in part] for name, part in places.items()}


def deal_positions(
    fractions: np.ndarray, shares: Mapping[str, float] = EIGHT_ONE_ONE
) -> dict[str, np.ndarray]:
    """Positions dealt to parts by the `hash_fraction` that stands at each, in its order.

    An empty part takes one from the largest that can spare it; a part named earlier is served
    before a later one."""
    order = np.argsort(fractions, kind="stable")
    rank = np.searchsorted(np.cumsum(list(shares.values()))[:-1], fractions[order], side="right")
    parts = {name: order[rank == place] for place, name in enumerate(shares)}
    for place, name in enumerate(shares):
        donors = [
            other for later, other in enumerate(shares) if len(parts[other]) > 1 or later > place
        ]
        largest = max(donors, key=lambda other: len(parts[other]), default=name)
        if not len(parts[name]) and len(parts[largest]):
            parts[name], parts[largest] = parts[largest][:1], parts[largest][1:]
    return parts


def complete(parts: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Splits that a data set came with; where it has a test split but no val, val and test are
    halves of its test.
    """
    return (
        {**parts, **deal(parts["test"], HALVES)}
        if "test" in parts and "val" not in parts
        else dict(parts)
    )


def choose(parts: Mapping[str, list[str]], split: str, root: Path) -> list[str]:
    """The keys of one split, in hash order: its first n are a fair sample, not the first class of
    the alphabet.

    Raises MuseError for an unknown or empty split.
    """
    return sorted(part_named(split, parts, root), key=_by_hash)


def part_named(split: str, parts: Mapping[str, Part], place: Path | str) -> Part:
    """One split. Raises MuseError when it is unknown or empty."""
    check_split(split)
    if split not in parts or not len(parts[split]):
        present = ", ".join(name for name in SPLITS if name in parts and len(parts[name])) or "none"
        raise MuseError(
            f"{place} has no images for the split {split!r} (it has: {present}): use one of those or add some."
        )
    return parts[split]


def check_split(split: str) -> None:
    """Raises MuseError for an unknown one."""
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)


def _by_hash(key: str) -> tuple[float, str]:
    return hash_fraction(key), key
