"""Which image belongs to train, val or test: by a hash of its name, so that adding files moves no other."""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from pathlib import Path

from muse_core.errors import MuseError, unknown

SPLITS = ("train", "val", "test")
SPELLINGS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""What people call their splits -> what we call them."""

EIGHT_ONE_ONE = {"train": 0.8, "val": 0.1, "test": 0.1}
HALVES = {"val": 0.5, "test": 0.5}


def hash_fraction(text: str) -> float:
    """A number in [0, 1) that depends on the text alone: the same on every machine, in every session."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogateescape"), digest_size=6).digest(), "big") / 2**48


def deal(keys: Iterable[str], shares: Mapping[str, float] = EIGHT_ONE_ONE) -> dict[str, list[str]]:
    """Keys dealt to parts by their hash, in hash order.

    An empty part takes one key from the largest that can spare it; a part named earlier is served before a later one.
    """
    parts: dict[str, list[str]] = {name: [] for name in shares}
    for key in sorted(keys, key=_by_hash):
        parts[_part(hash_fraction(key), shares)].append(key)
    names = list(parts)
    for rank, name in enumerate(names):
        donors = [parts[other] for place, other in enumerate(names) if len(parts[other]) > 1 or place > rank]
        if not parts[name] and any(donors):
            parts[name].append(max(donors, key=len).pop(0))
    return parts


def complete(parts: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Splits that a data set came with; where it has a test split but no val, val and test are halves of its test."""
    return {**parts, **deal(parts["test"], HALVES)} if "test" in parts and "val" not in parts else dict(parts)


def choose(parts: Mapping[str, list[str]], split: str, root: Path) -> list[str]:
    """The keys of one split, in hash order: its first n are a fair sample, not the first class of the alphabet.

    Raises MuseError for an unknown or empty split.
    """
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    if not parts.get(split):
        present = ", ".join(name for name in SPLITS if parts.get(name)) or "none"
        raise MuseError(
            f"{root} has no images for the split {split!r} (it has: {present}): use one of those or add some."
        )
    return sorted(parts[split], key=_by_hash)


def _by_hash(key: str) -> tuple[float, str]:
    return hash_fraction(key), key


def _part(fraction: float, shares: Mapping[str, float]) -> str:
    reached = 0.0
    for name, share in shares.items():
        reached += share
        if fraction < reached:
            return name
    return name
