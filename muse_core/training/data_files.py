"""The files that a stage is trained on, kept beside it: data that changed says what changed."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from muse_core.results.records import read_json, write_json

FILE = "data_files.json"


def keep_files(data: Any, folder: Path) -> None:
    """Write down name and size of each file of a source that lists any."""
    if files := getattr(data, "file_sizes", {}):
        write_json(folder / FILE, dict(files))


def changed_files(data: Any, folder: Path) -> str:
    """What differs from the files that `keep_files` wrote there: "2 files added (first: cat/7.png),
    1 removed (first: ...)"; "" where nobody can tell.
    """
    now = dict(getattr(data, "file_sizes", {}))
    if not now or not (folder / FILE).is_file():
        return ""
    before = read_json(folder / FILE)
    kinds = {
        "added": now.keys() - before.keys(),
        "removed": before.keys() - now.keys(),
        "changed": {name for name in now.keys() & before.keys() if now[name] != before[name]},
    }
    return ", ".join(_counted(kind, names) for kind, names in kinds.items() if names)


def _counted(kind: str, names: Iterable[str]) -> str:
    first, *others = sorted(names)
    return f"{1 + len(others)} file{'s' * bool(others)} {kind} (first: {first})"
