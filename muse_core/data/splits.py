"""Which image belongs to train, val or test.

A data set's own splits are used where it has any; one that is not divided, or is all train, is
dealt 8 : 1 : 1 by a hash of each sample's name, so that adding files moves no other. Where it has a
test part but none for validation, that test part is halved. Every kind of source asks `share_of`
here, so that names and rules are the same for all.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from hashlib import blake2b
from pathlib import Path

import numpy as np

from muse_core.errors import MuseError, unknown

SPLITS = ("train", "val", "test")
SPELLINGS = {
    spelling: split
    for split, spellings in {
        "train": ("train", "training", "trn", "trainval", "restval"),
        "val": ("val", "valid", "validation", "validate", "dev", "development", "eval"),
        "test": ("test", "testing", "tst"),
    }.items()
    for spelling in spellings
}
"""What people call their splits -> what we call them; `split_called` also knows "TRAIN",
"train_images", "val2017" and "test1".
"""
_AROUND = r"(?:data|dataset|images?|imgs?|pictures|photos|seg|set|split|\d{1,4})"
_CALLED = re.compile(rf"(?:{_AROUND}[\W_]*)?({'|'.join(SPELLINGS)})(?:[\W_]*{_AROUND})?")

Options = Mapping[str, str]
"""What is said behind a source's place, such as ``?train=part1&column=alt``: by `OPTIONS`."""
NO_OPTIONS: Options = {}
OPTIONS = ("column", *SPLITS)
"""The column with the words, and which of its parts is which split."""

EIGHT_ONE_ONE = {"train": 0.8, "val": 0.1, "test": 0.1}
HALVES = {"val": 0.5, "test": 0.5}


def hash_fraction(text: str) -> float:
    """A number in [0, 1) that depends on the text alone: the same on every machine."""
    digest = blake2b(text.encode("utf-8", "surrogateescape"), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2**48


def split_called(name: object) -> str | None:
    """The split that somebody's word for one means; None for another word."""
    found = _CALLED.fullmatch(str(name).strip().casefold())
    return found and SPELLINGS[found[1]]


def by_folder(names: Iterable[str]) -> dict[str, list[str]]:
    """File names by the split that a folder of their path is called like; all in one part where one
    of them lies in no such folder.
    """
    parts: dict[str, list[str]] = {}
    for name in names:
        called = next(filter(None, map(split_called, re.split(r"[\\/]", name)[:-1])), "")
        parts.setdefault(called, []).append(name)
    return {"": [name for part in parts.values() for name in part]} if "" in parts else parts


def named_parts(
    parts: Iterable[str], place: Path | str, options: Options = NO_OPTIONS
) -> dict[str, str]:
    """The part that holds each split, for the splits that one is named after or asked for; a single
    part of another name is all there is, and so "train".

    Args:
        parts: what the data set came with, at least one.
        place: what the data set is called in a sentence.
        options: by split, the part to take for it.

    Raises:
        MuseError: where two parts could be the same split, or none of several has the name of one.
    """
    names, found = list(parts), {}
    check_parts(names, place, options)
    for split in SPLITS:
        asked = options.get(split)
        free = [name for name in names if name not in options.values()]
        fitting = [asked] if asked else [name for name in free if split_called(name) == split]
        if len(fitting) > 1:
            raise _which(split, place, fitting)
        if fitting:
            found[split] = fitting[0]
    if not found and len(names) > 1:
        raise _which("train", place, names)
    return found or {"train": names[0]}


def check_parts(names: Collection[str], place: Path | str, options: Options) -> None:
    """Raises MuseError where the part that is asked for a split is none of these."""
    for split in SPLITS:
        asked = options.get(split)
        if asked and not any(names):
            raise MuseError(
                f"{place} has no parts, so ?{split}={asked} means nothing: leave it away."
            )
        if asked and asked not in names:
            raise unknown(f"part of {place} for the split {split!r}", asked, names)


def share_of(
    split: str, parts: Iterable[str], place: Path | str, options: Options = NO_OPTIONS
) -> tuple[str, Mapping[str, float]]:
    """Which part of a data set a split is taken from, and how that part is shared out.

    Args:
        split: one of `SPLITS`.
        parts: as in `named_parts`.
        place: likewise.
        options: likewise.

    Returns:
        The part's name, and the shares by which `dealt` divides it: all of it for one split,
        `HALVES` or `EIGHT_ONE_ONE`.

    Raises:
        MuseError: as `named_parts`; for an unknown split, and for one that the parts leave out.
    """
    check_split(split)
    parts = list(parts)
    known = named_parts(parts, place, options)
    if known.keys() == {"train"}:
        return known["train"], EIGHT_ONE_ONE
    if "test" in known and "val" not in known and split != "train":
        return known["test"], HALVES
    if split not in known:
        others = [part for part in parts if part not in known.values()]
        raise _which(split, place, others) if others else _without(split, place, known)
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


def keys_of(
    split: str,
    parts: Mapping[str, Iterable[str]],
    place: Path | str,
    options: Options = NO_OPTIONS,
) -> list[str]:
    """The file names of a split, in hash order: its first n mix all classes.

    Args:
        split: one of `SPLITS`.
        parts: file names by part.
        place: what the data set is called in a sentence.
        options: as in `named_parts`.

    Raises:
        MuseError: for a split that is unknown or empty.
    """
    part, shares = share_of(split, parts, place, options)
    keys = sorted(parts[part])
    fractions = np.array([hash_fraction(key) for key in keys])
    return [keys[position] for position in dealt(split, fractions, shares, place)]


def check_split(split: str) -> None:
    """Raises MuseError for an unknown one."""
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)


def _which(split: str, place: Path | str, parts: list[str]) -> MuseError:
    """The question where names leave it open."""
    return MuseError(
        f"{place} leaves open what the split {split!r} is ({', '.join(parts[:9])}?): say which, as "
        f"?{split}={parts[0]} behind its name."
    )


def _without(split: str, place: Path | str, present: Iterable[str]) -> MuseError:
    having = ", ".join(name for name in SPLITS if name in set(present)) or "none"
    return MuseError(
        f"{place} has no images for the split {split!r} (it has: {having}): use one of those or "
        "add some."
    )
