"""`shards/{000000..000007}.tar`, or a folder: the shards that a `wds:` source names."""

from itertools import islice
from pathlib import Path

from muse_core.errors import MuseError
from muse_core.paths import user_path

MOST_SHARDS = 1_000_000
EXAMPLE = "write for example wds:shards/{000000..000007}.tar, or wds:shards for all of a folder"


def shard_paths(pattern: str) -> tuple[Path, ...]:
    """The shards of a brace pattern (bash's and WebDataset's), or every .tar of a folder, in the order of their names.

    Raises MuseError for a pattern that cannot be understood and for a shard that is not there.
    """
    folder = user_path(pattern)
    paths = _in_folder(folder) if folder.is_dir() else [user_path(name) for name in _expanded(pattern)]
    absent = [path for path in paths if not path.is_file()]
    if absent:
        raise MuseError(
            f"{len(absent)} of the {len(paths)} shards of wds:{pattern} are absent, the first is {absent[0]}: {EXAMPLE}."
        )
    return tuple(dict.fromkeys(paths))


def _in_folder(folder: Path) -> list[Path]:
    if paths := sorted(folder.glob("*.tar")):
        return paths
    raise MuseError(f"The folder {folder} holds no .tar: {EXAMPLE}.")


def _expanded(pattern: str) -> list[str]:
    from braceexpand import braceexpand

    try:
        names = list(islice(braceexpand(pattern), MOST_SHARDS + 1))
    except (ValueError, RecursionError, MemoryError, IndexError) as error:
        raise MuseError(f"The pattern wds:{pattern} cannot be expanded ({error}): {EXAMPLE}.") from error
    if len(names) > MOST_SHARDS:
        raise MuseError(f"The pattern wds:{pattern} names more than {MOST_SHARDS:,} shards: {EXAMPLE}.")
    return names
