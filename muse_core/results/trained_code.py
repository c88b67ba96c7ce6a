"""Which code a training used, in digests that its record keeps, and what changed since."""

import hashlib
from collections.abc import Mapping, Sequence

from muse_core import paths

CODE = ("foundations", "generation", "losses", "models", "training")
"""Folders whose code decides what a training does."""


def code_digests(folders: Sequence[str] = CODE) -> dict[str, str]:
    """File below muse_core -> digest, of all code that decides what a training does."""
    root = paths.checkout() / "muse_core"
    files = (file for folder in folders for file in sorted((root / folder).rglob("*.py")))
    digest = lambda file: hashlib.blake2b(file.read_bytes(), digest_size=12).hexdigest()
    return {file.relative_to(root).as_posix(): digest(file) for file in files}


def changed_code(recorded: Mapping[str, str]) -> list[str]:
    """The files that are not as they were.

    Args:
        recorded: ``code`` of a stage's record.
    """
    now = code_digests()
    return sorted(name for name in {*now, *recorded} if now.get(name) != recorded.get(name))


def other_code(recorded: Mapping[str, str]) -> str:
    """The sentence for a stage that was trained with other code than there is now, else ""."""
    changed = changed_code(recorded)
    if not changed:
        return ""
    listed = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if changed[3:] else "")
    return f"trained with other code: {listed} changed since; `--fresh` trains again"
