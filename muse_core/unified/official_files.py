"""What the readers of official benchmarks share: JSON that may be anything, words, and names of
files that stay in their folder.
"""

import json
from pathlib import Path
from typing import Any

from muse_core.errors import MuseError, shown

UNREADABLE = (OSError, ValueError, RecursionError)
LONGEST_NAME = 200


def read_official(file: Path, wanted: str) -> str:
    """The text of a file. Raises MuseError, which says what was ``wanted``, where there is none."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        what = type(error).__name__
        raise MuseError(f"{file} cannot be read ({what}): give {wanted}.") from error


def parsed(text: str) -> Any:
    """JSON as plain values. Raises ValueError for anything else, however deep."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def words(entry: Any, name: str) -> str:
    """A field that holds words. Raises ValueError where it does not."""
    if not isinstance(entry, dict):
        raise ValueError("it is no object")
    if name not in entry:
        raise ValueError(f"it has no {name}")
    if not isinstance(said := entry[name], str) or not said.strip():
        raise ValueError(f"its {name} is {shown(said)} and no words")
    # Half of a character can be written in JSON, and nowhere else.
    said.encode()
    return said


def whole_number(said: Any, name: str, least: int) -> int:
    """Raises ValueError for anything but an integer of at least ``least``."""
    if isinstance(said, bool) or not isinstance(said, int) or not least <= said < 10**9:
        raise ValueError(f"its {name} is {shown(said)}")
    return said


def file_name(said: str) -> str:
    """A name of one file in a folder. Raises ValueError for a way to somewhere else."""
    if (
        not said
        or said != Path(said).name
        or said.startswith(".")
        or not said.isprintable()
        or len(said.encode()) > LONGEST_NAME
    ):
        raise ValueError(f"{shown(said)} is no name of a file")
    return said
