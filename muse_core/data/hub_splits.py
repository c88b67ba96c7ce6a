"""Which part of a Hugging Face data set is a split: its own, where it has several, else a share of
the one it has.
"""

from collections.abc import Callable, Iterable

import numpy as np

from muse_core.data.splits import HALVES, SPELLINGS, deal_positions, part_named


def split_of(
    place: str, parts: Iterable[str], fractions: Callable[[str], np.ndarray], split: str
) -> tuple[str, np.ndarray]:
    """(the part that holds a split, positions in it in the order of their hash).

    ``fractions`` gives the `hash_fraction` of everything in a part, and is asked for one part
    alone. Raises MuseError for a split that is not there."""
    named = list(parts)
    known = {SPELLINGS[part]: part for part in named if part in SPELLINGS}
    if len(known) < 2:
        (part,) = known.values() if known else named[:1]
        return part, part_named(split, deal_positions(fractions(part)), place)
    if "val" not in known and "test" in known and split != "train":
        return known["test"], part_named(
            split, deal_positions(fractions(known["test"]), HALVES), place
        )
    found = {name: np.zeros(1, np.int64) for name in known}
    if split in known:
        found[split] = np.argsort(fractions(known[split]), kind="stable")
    return known.get(split, ""), part_named(split, found, place)
