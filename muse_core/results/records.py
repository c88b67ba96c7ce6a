"""What a run writes down: small JSON files that figures, reports and people read. Written whole or
not at all.
"""

import errno
import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image
from safetensors import SafetensorError

from muse_core import __version__, paths
from muse_core.errors import MuseError

Kind = TypeVar("Kind")


def write_json(path: Path, record: Any) -> Path:
    """Write a dataclass or JSON value, atomically. Raises MuseError when the disk refuses."""
    if is_dataclass(record) and not isinstance(record, type):
        record = asdict(record)
    text = json.dumps(record, indent=2, default=str) + "\n"
    with whole_file(path) as temporary:
        temporary.write_text(text)
    return path


def write_png(path: Path, image: Image.Image) -> Path:
    """Write an image, atomically. Raises MuseError when the disk refuses."""
    with whole_file(path) as temporary:
        image.save(temporary, "PNG")
    return path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A file beside the path to write into: it takes the path's place when the block ends, or
    leaves nothing. Raises MuseError when the disk refuses.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with _writing(path):
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Makes the folder, and a sentence of a disk that refuses."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except (OSError, SafetensorError) as error:
        why = getattr(error, "strerror", error)
        raise MuseError(
            f"Cannot write {path} ({why}): free some space or mend its permissions."
        ) from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a record, which is a JSON object. Raises MuseError when it is absent or damaged."""
    try:
        found = json.loads(path.read_text())
        if not isinstance(found, dict):
            raise ValueError(f"a {type(found).__name__} and no object")
        return found
    except FileNotFoundError as error:
        raise MuseError(
            f"There is no record {path}: run the notebook that writes it first."
        ) from error
    # Not JSON, not even text, or not a file.
    except (ValueError, RecursionError, OSError) as error:
        raise MuseError(
            f"The record {path} is damaged ({error}): delete it and run its notebook again."
        ) from error


def read_record(path: Path, kind: type[Kind]) -> Kind:
    """A record as the dataclass that was written.

    Args:
        path: Its JSON file.
        kind: The dataclass.

    Raises:
        MuseError: When it is absent, damaged or another one.
    """
    from pydantic import TypeAdapter

    try:
        return TypeAdapter(kind).validate_python(read_json(path))
    except ValueError as error:
        raise MuseError(
            f"The record {path} is not a {kind.__name__}: delete it and run its notebook again."
        ) from error


def plain(value: Any) -> Any:
    """A value, dataclasses included, as JSON would bring it back."""
    if is_dataclass(value):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {str(name): plain(held) for name, held in value.items()}
    if isinstance(value, frozenset | set):
        return sorted(map(str, value))
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return str(value) if isinstance(value, Enum | Path) else value


def append_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    """Append one line a row, in one piece: a reader sees whole lines. Raises MuseError when the
    disk refuses.
    """
    text = "".join(json.dumps(row) + "\n" for row in rows)
    with _writing(path), path.open("ab", buffering=0) as file:
        if file.write(text.encode()) < len(text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a file that `append_jsonl` wrote; a last line cut short by a crash, or still being
    written, is left out.

    Raises MuseError for any other line that is no JSON object.
    """
    yield from RowReader(path).new_rows()


@dataclass
class RowReader:
    """Reads what others append to a JSON Lines file: each call gives the rows that are whole since
    the one before.
    """

    path: Path
    position: int = 0
    lines: int = 0

    def new_rows(self) -> list[dict[str, Any]]:
        """Raises MuseError, with its number, for a whole line that is no JSON object."""
        text = self._unread()
        whole, _, rest = text.rpartition(b"\n")
        lines = whole.split(b"\n") if whole else []
        # A last line whose end alone is missing is whole as well.
        if rest and _row(rest) is not None:
            lines, rest = [*lines, rest], b""
        rows = []
        for number, line in enumerate(lines, start=self.lines + 1):
            row = _row(line)
            if row is None and line.strip():
                raise MuseError(
                    f"Line {number} of {self.path} is damaged: mend it, or delete it with the "
                    "lines after it."
                )
            rows += [row] if row is not None else []
        self.position, self.lines = self.position + len(text) - len(rest), self.lines + len(lines)
        return rows

    def _unread(self) -> bytes:
        """What was appended since; everything, where the file was made anew."""
        try:
            with self.path.open("rb") as file:
                if file.seek(0, os.SEEK_END) < self.position:
                    self.position, self.lines = 0, 0
                file.seek(self.position)
                return file.read()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise MuseError(
                f"Cannot read {self.path} ({error.strerror}): mend its permissions."
            ) from error


def _row(line: bytes) -> dict[str, Any] | None:
    """The object in a line; None where there is none."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


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
    """The commit of the checkout that holds this code, with ``+changes`` when its files differ from
    it; outside git the version, "0.1.0"; "unknown" where git does not answer.
    """
    checkout = paths.checkout()
    if not (checkout / ".git").exists():
        return __version__
    try:
        options: dict[str, Any] = dict(text=True, timeout=10, stderr=subprocess.PIPE)
        run = lambda *words: subprocess.check_output(
            ["git", *words], cwd=checkout, **options
        ).strip()
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
