"""What a run writes down: small JSON files that figures, reports and people read. Written whole or not at all."""

import errno
import json
import os
import platform
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from muse_core import paths
from muse_core.errors import MuseError

Kind = TypeVar("Kind")


def write_json(path: Path, record: Any) -> Path:
    """Write a dataclass or JSON value, atomically. Raises MuseError when the disk refuses."""
    text = json.dumps(asdict(record) if is_dataclass(record) else record, indent=2, default=str) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        temporary.write_text(text)
        temporary.replace(path)
    except OSError as error:
        raise MuseError(f"Cannot write {path} ({error.strerror}): free some space or mend its permissions.") from error
    return path


def read_json(path: Path) -> Any:
    """Read a record. Raises MuseError when it is absent or damaged."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise MuseError(f"There is no record {path}: run the notebook that writes it first.") from error
    except ValueError as error:  # not JSON, or not even text
        raise MuseError(f"The record {path} is damaged ({error}): delete it and run its notebook again.") from error


def read_record(path: Path, kind: type[Kind]) -> Kind:
    """A record as the dataclass that was written. Raises MuseError when it is absent, damaged or another one."""
    from pydantic import TypeAdapter

    try:
        return TypeAdapter(kind).validate_python(read_json(path))
    except ValueError as error:
        raise MuseError(f"The record {path} is not a {kind.__name__}: delete it and run its notebook again.") from error


def append_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    """Append one line a row, in one piece: a reader sees whole lines. Raises MuseError when the disk refuses."""
    text = "".join(json.dumps(row) + "\n" for row in rows)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as file:
            written = file.write(text.encode())
        if written < len(text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise MuseError(f"Cannot write {path} ({error.strerror}): free some space or mend its permissions.") from error


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a file that `append_jsonl` wrote; a last line cut short by a crash is left out."""
    if path.exists():
        for line in path.read_text().splitlines():
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                return


class JsonlTail:
    """What is appended to a JSONL file while another process writes it: only whole lines, each once.

    A file that became shorter was written anew, and is read from its start.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._read = path, 0

    def new_rows(self) -> list[dict[str, Any]]:
        """The rows since the last call; none while there is no file."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            if os.fstat(file.fileno()).st_size < self._read:
                self._read = 0
            file.seek(self._read)
            whole = file.read().rpartition(b"\n")[0]
        self._read += len(whole) + 1 if whole else 0
        return [json.loads(line) for line in whole.splitlines()]


@dataclass(frozen=True)
class Provenance:
    """Where a result comes from; every record and report carries one."""

    commit: str
    date: str
    device: str
    python: str
    torch: str
    transformers: str
    diffusers: str


def commit() -> str:
    """The workspace's commit, with ``+changes`` when the tree differs from it; "unknown" outside git."""
    try:
        run = lambda *words: subprocess.run(
            ["git", *words], cwd=paths.root(), capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
        changed = run("status", "--porcelain", "--", "muse_core", "notebooks", "data/foundations")
        return run("rev-parse", "--short=10", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def provenance(device: str = "cpu") -> Provenance:
    """Versions, commit and date of this very process."""
    from importlib.metadata import version

    return Provenance(
        commit=commit(),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        device=device,
        python=platform.python_version(),
        torch=version("torch"),
        transformers=version("transformers"),
        diffusers=version("diffusers"),
    )
