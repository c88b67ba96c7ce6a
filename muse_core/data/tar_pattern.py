"""`shards/{000000..000007}.tar`, or a folder: the shards that a `wds:` source names."""

import os
import re
from pathlib import Path

from muse_core.errors import MuseError
from muse_core.paths import user_path, user_paths

MOST_SHARDS = 1_000_000
LONGEST_NUMBER = 18
"""Digits, leading zeros too."""
EXAMPLE = "write for example wds:shards/{000000..000007}.tar, or wds:shards for all of a folder"


def shard_paths(pattern: str) -> tuple[Path, ...]:
    """The shards of a brace pattern (bash's and WebDataset's), or every .tar of a folder, in the
    order of their names.

    Raises MuseError for a pattern that cannot be understood and for a shard that is not there.
    """
    paths = _in_folder(pattern) if _is_folder(pattern) else user_paths(_expanded(pattern))
    absent = [path for path in paths if not os.path.isfile(path)]  # unlike Path's, it never raises
    if absent:
        raise MuseError(
            f"{len(absent)} of the {len(paths)} shards of wds:{pattern} are absent, the first is {absent[0]}: {EXAMPLE}."
        )
    return tuple(dict.fromkeys(paths))


def _is_folder(pattern: str) -> bool:
    return "{" not in pattern and user_path(pattern).is_dir()


def _in_folder(pattern: str) -> list[Path]:
    folder = user_path(pattern)
    if paths := sorted(folder.glob("*.tar")):
        return paths
    raise MuseError(f"The folder {folder} holds no .tar: {EXAMPLE}.")


def _expanded(pattern: str) -> list[str]:
    from braceexpand import braceexpand

    if _count(pattern) > MOST_SHARDS:
        raise MuseError(
            f"The pattern wds:{pattern[:200]} names more than {MOST_SHARDS:,} shards: {EXAMPLE}."
        )
    try:
        return list(braceexpand(pattern))
    except (ValueError, RecursionError, IndexError) as error:
        raise MuseError(
            f"The pattern wds:{pattern[:200]} cannot be expanded ({error}): {EXAMPLE}."
        ) from error


def _count(pattern: str) -> int:
    """How many names the pattern stands for, counted before any is made."""
    groups: list[tuple[int, int]] = []
    so_far, alternatives = 1, 0
    for piece in re.findall(r"-?\d+\.\.-?\d+|\d+|.", pattern, re.DOTALL):
        if piece == "{":
            groups.append((so_far, alternatives))
            so_far, alternatives = 1, 0
        elif piece == "," and groups:
            so_far, alternatives = 1, alternatives + so_far
        elif piece == "}" and groups:
            inner = alternatives + so_far
            so_far, alternatives = groups.pop()
            so_far *= inner
        elif ".." in piece and groups:
            first, last = piece.split("..")
            too_long = max(len(first), len(last)) > LONGEST_NUMBER
            so_far *= MOST_SHARDS + 1 if too_long else abs(int(last) - int(first)) + 1
        if so_far > MOST_SHARDS:
            break
    return so_far
