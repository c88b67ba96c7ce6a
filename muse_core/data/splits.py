"""Which image belongs to train, val or test.

A data set's own splits are used where it has any; one that is not divided, or is all train, is
dealt 8 : 1 : 1 by a hash of each sample's name, so that adding files moves no other. Where it has a
test part but none for validation, that test part is halved. Every kind of source asks `share_of`
here, so that names and rules are the same for all.
"""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from pathlib import Path

import numpy as np

from muse_core.errors import MuseError, unknown

SPLITS = ("train", "val", "test")
SPELLINGS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""What people call their splits -> what we call them."""

EIGHT_ONE_ONE = {"train": 0.8, "val": 0.1, "test": 0.1}
HALVES = {"val": 0.5, "test": 0.5}


def hash_fraction(text: str) -> float:
    """A number in [0, 1) that depends on the text alone: the same on every machine."""
    digest = blake2b(text.encode("utf-8", "surrogateescape"), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2**48


def share_of(
    split: str, parts: Iterable[str], place: Path | str
) -> tuple[str, Mapping[str, float]]:
    """Which part of a data set a split is taken from, and how that part is shared out.

    Args:
        split: one of `SPLITS`.
        parts: the names of the parts the data set came with, at least one; those in `SPELLINGS`
            are splits.
        place: what the data set is called in a sentence.

    Returns:
        The part's name, and the shares by which `dealt` divides it: all of it for one split,
        `HALVES` or `EIGHT_ONE_ONE`.

    Raises:
        MuseError: for an unknown split, and for one that several named parts leave out.
    """
    check_split(split)
    named = list(parts)
    known = {SPELLINGS[part]: part for part in named if part in SPELLINGS}
    if not known.keys() - {"train"}:
        return known.get("train", named[0]), EIGHT_ONE_ONE
    if "test" in known and "val" not in known and split != "train":
        return known["test"], HALVES
    if split not in known:
        raise _without(split, place, known)
    return known[split], {split: 1.0}


def dealt(
    split: str, fractions: np.ndarray, shares: Mapping[str, float], place: Path | str
) -> np.ndarray:
    """The positions of a split in its part, in hash order: the first n are a fair sample.

    Args:
        split: one of the names in ``shares``.
        fractions: (n,) the `hash_fraction` of every sample of the part.
        shares: as `share_of` gives them.
        place: what the data set is called in a sentence.

    Raises:
        MuseError: where nothing is left for the split.
    """
    parts = dealt_positions(fractions, shares)
    if not len(parts[split]):
        raise _without(split, place, [name for name, part in parts.items() if len(part)])
    return parts[split]


def dealt_positions(fractions: np.ndarray, shares: Mapping[str, float]) -> dict[str, np.ndarray]:
    """Positions by split, as `dealt` gives one of them.

    An empty split takes a position from the largest that can spare one; a split that is named
    earlier is served before a later one.
    """
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


def keys_of(split: str, parts: Mapping[str, Iterable[str]], place: Path | str) -> list[str]:
    """The file names of a split, in hash order: its first n mix all classes.

    Args:
        split: one of `SPLITS`.
        parts: file names by part, under any of the names in `SPELLINGS`.
        place: what the data set is called in a sentence.

    Raises:
        MuseError: for a split that is unknown or empty.
    """
    part, shares = share_of(split, parts, place)
    keys = sorted(parts[part])
    fractions = np.array([hash_fraction(key) for key in keys])
    return [keys[position] for position in dealt(split, fractions, shares, place)]


def check_split(split: str) -> None:
    """Raises MuseError for an unknown one."""
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)


def _without(split: str, place: Path | str, present: Iterable[str]) -> MuseError:
    having = ", ".join(name for name in SPLITS if name in set(present)) or "none"
    return MuseError(
        f"{place} has no images for the split {split!r} (it has: {having}): use one of those or "
        "add some."
    )
