"""Text and names from other people's files: whatever they hold, the answer is a value or a
ValueError.
"""

import json
from pathlib import PurePosixPath
from typing import Any

LONGEST_NAME = 255
"""Bytes of one part of a file name, as on common file systems."""


def parsed_json(text: str | bytes) -> Any:
    """The JSON value. Raises ValueError, also for lists in lists beyond Python's depth."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def parsed_object(text: str | bytes) -> dict[str, Any]:
    """The JSON object. Raises ValueError for anything else."""
    value = parsed_json(text)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def is_plain_name(name: str) -> bool:
    """Whether a relative file name stays inside its folder, as written: not absolute, no "..",
    nothing no disk takes.
    """
    parts = PurePosixPath(name).parts
    return (
        bool(parts)
        and "\0" not in name
        and "\\" not in name
        and not name.startswith("/")
        and ".." not in parts
        and not any("\ud800" <= letter <= "\udfff" for letter in name)
        and all(len(part.encode()) <= LONGEST_NAME for part in parts)
        and len(name.encode()) <= 8 * LONGEST_NAME
    )
