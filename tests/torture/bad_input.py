"""The trial of a bad input: it is really given, the answer is read, and everything made before is
compared.
"""

import contextlib
import io
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muse_core.errors import MuseError
from tests.torture.sentences import unclear
from tests.torture.workspace import Desk, Workspace, planted_workspace, quiet


@dataclass(frozen=True)
class BadInput:
    """``name``: what is wrong, in words. ``names``: the value or place that the answer must mention;
    ``fix``: a piece of it that says what to do. ``arrange`` writes the user's files, ``act`` is the
    mistake: a call, or a command's exit code."""

    name: str
    names: str
    fix: str
    act: Callable[[Desk], Any]
    arrange: Callable[[Desk], Any] = lambda desk: None


CACHE = "workspace/data/teacher_views"
"""What may be deleted at any time, and so may change."""


@dataclass(frozen=True)
class Verdict:
    """``why``: what is wrong with the answer, "" where it is clear and nothing was lost; ``said``:
    the answer itself.
    """

    name: str
    said: str
    why: str


def tried(group: str, row: BadInput, workspace: Workspace) -> Verdict:
    """Arrange, act, and judge the answer."""
    name = f"{group}: {row.name}"
    desk = workspace.desk(name)
    with quiet():
        row.arrange(desk)
        before = workspace.digests()
        said, failed = _answer(row, desk)
    after = workspace.digests()
    changed = sorted(
        name
        for name in before.keys() | after.keys()
        if before.get(name) != after.get(name) and not name.startswith(CACHE)
    )
    lost = f"it changed {changed[0]}" if changed else ""
    return Verdict(name, said, failed or lost or unclear(said, row.names, row.fix))


def _answer(row: BadInput, desk: Desk) -> tuple[str, str]:
    """(the sentence, why it counts as none)."""
    heard = io.StringIO()
    try:
        with contextlib.redirect_stderr(heard):
            code = row.act(desk)
    except MuseError as error:
        return str(error), ""
    except SystemExit as error:
        code = error.code
    # exactly what must never reach a user
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        bare = f"a bare {type(error).__name__} in {place.name}, line {place.lineno}"
        return f"{type(error).__name__}: {error}", bare
    said = heard.getvalue().strip()
    if not code or isinstance(code, bool) or not isinstance(code, int):
        return said, "the bad input was accepted"
    # a command may say what it works with before it is stopped
    *_, mark, sentence = f"\n{said}".rpartition("\nmuse: ")
    return (sentence, "") if mark else (said, "the exit code has no sentence")


def try_all(folder: Path, table: dict[str, list[BadInput]]) -> Iterator[Verdict]:
    """Every row of the table, in a workspace planted in ``folder``."""
    with planted_workspace(folder) as workspace:
        for group, rows in table.items():
            yield from (tried(group, row, workspace) for row in rows)
