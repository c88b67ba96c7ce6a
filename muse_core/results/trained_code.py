"""Which code a training used, in digests that its record keeps, and what changed since."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

CODE = ("foundations", "losses", "models", "training")
"""Folders whose code decides what a training does."""


def code_digests() -> dict[str, str]:
    """File below muse_core -> digest, of all code that decides what a training does."""
    root = Path(__file__).resolve().parents[1]
    files = (file for folder in CODE for file in sorted((root / folder).glob("*.py")))
    return {
        file.relative_to(root).as_posix(): hashlib.blake2b(
            file.read_bytes(), digest_size=12
        ).hexdigest()
        for file in files
    }


def changed_code(recorded: Mapping[str, str]) -> list[str]:
    """The files that are not as they were.

    Args:
        recorded: ``code`` of a stage's record.
    """
    now = code_digests()
    return sorted(name for name in {*now, *recorded} if now.get(name) != recorded.get(name))
