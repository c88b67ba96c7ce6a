"""Which code and which weights were used, in digests that records keep, and what changed since."""

import ast
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from muse_core import paths
from muse_core.errors import MuseError

CODE = ("baselines", "foundations", "generation", "losses", "models", "training", "unified")
"""Folders whose code decides what a training does."""


def code_digests(folders: Sequence[str] = CODE) -> dict[str, str]:
    """File below muse_core -> digest, of all code that decides what a training does."""
    root = paths.checkout() / "muse_core"
    files = (file for folder in folders for file in sorted((root / folder).rglob("*.py")))
    return {file.relative_to(root).as_posix(): file_digest(file) for file in files}


def own_file(system: str) -> Path | None:
    """The file of a system of the user's, ``FILE.py:Class``; None for any other name."""
    place, colon, _ = system.rpartition(":")
    file = Path(place)
    return file if colon and file.suffix == ".py" and file.is_file() else None


def file_digest(file: Path) -> str:
    """Of what a file holds."""
    return hashlib.blake2b(file.read_bytes(), digest_size=12).hexdigest()


def own_digest(file: Path) -> str:
    """Of a file of the user's, and of the files beside it that it imports, and so on."""
    held = sorted((each.name, file_digest(each)) for each in _with_imported(file, set()))
    return held[0][1] if len(held) == 1 else hashlib.blake2b(repr(held).encode()).hexdigest()[:24]


def _with_imported(file: Path, seen: set[Path]) -> set[Path]:
    seen.add(file)
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return seen
    names = [
        each.name for node in ast.walk(tree) if isinstance(node, ast.Import) for each in node.names
    ]
    names += [n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module]
    for name in names:
        beside = file.with_name(f"{name.split('.')[0]}.py")
        if beside.is_file() and beside not in seen:
            _with_imported(beside, seen)
    return seen


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


def folder_fingerprint(folder: Path) -> str:
    """A hash of every weight and configuration file below a folder. Raises MuseError where there is
    none.
    """
    digest, kinds = hashlib.blake2b(digest_size=8), (".safetensors", ".json", ".bin")
    files = sorted(file for file in Path(folder).rglob("*") if file.suffix in kinds)
    if not files:
        raise MuseError(
            f"{folder} holds no weights to evaluate: run the notebook that makes them first."
        )
    for file in files:
        digest.update(file.name.encode())
        with file.open("rb") as opened:
            while chunk := opened.read(1 << 22):
                digest.update(chunk)
    return digest.hexdigest()
