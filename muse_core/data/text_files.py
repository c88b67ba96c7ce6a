"""Text that other people wrote: with or without a byte order mark, in UTF-8 or in bytes of old."""

import json
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from muse_core.errors import MuseError

_END_OF_LINE = re.compile(r"\r\n|\r|\n")


def decoded(content: bytes) -> str:
    """The text: UTF-8, or UTF-16 with its mark; what is neither is taken for Windows-1252."""
    try:
        return content.decode(_encoding(content))
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def _encoding(content: bytes) -> str:
    """Of a text that may begin with a mark."""
    return "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"


def readable(name: str) -> str:
    """A file's name as text that can be printed and tokenized, also where its bytes are no
    UTF-8.
    """
    try:
        return decoded(name.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        return name.encode("utf-8", "replace").decode()


def folded(name: str) -> str:
    """What two spellings of a file's name share: case, separators and composed letters aside."""
    plain = unicodedata.normalize("NFC", readable(name)).replace("\\", "/").casefold()
    return plain.removeprefix("./")


def text_lines(path: Path) -> list[str]:
    """The lines of a text file, trimmed. Raises MuseError where it is something else."""
    try:
        content = path.read_bytes()
        text = content.decode(_encoding(content))
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise MuseError(f"{path} is no text (line {line}): save it as UTF-8 text.") from error
    except OSError as error:
        raise MuseError(f"{path} cannot be read ({error.strerror}): mend it.") from error
    return [line.strip() for line in _END_OF_LINE.split(text)]


def class_lines(path: Path) -> tuple[str, ...]:
    """The names of classes, one a line: a blank line in between is a class without a name, and
    moves no other. Raises MuseError.
    """
    lines = text_lines(path)
    while lines and not lines[-1]:
        lines.pop()
    return tuple(line or f"class {number}" for number, line in enumerate(lines))


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Numbers and objects of a JSON Lines file (none if it is absent). Raises MuseError with the
    number of a bad line.
    """
    content = path.read_bytes() if path.is_file() else b""
    if _encoding(content) == "utf-16":
        content = decoded(content).encode("utf-8", "replace")
    lines = content.splitlines()
    for number, text in enumerate(lines, start=1):
        try:
            value = parsed_json(decoded(text)) if text.strip() else {}
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise MuseError(
                f"Line {number} of {path} is not a JSON object: mend or delete that line."
            )
        if value:
            yield number, value


def parsed_json(text: str | bytes) -> Any:
    """The JSON value. Raises ValueError, also for lists in lists beyond Python's depth."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
