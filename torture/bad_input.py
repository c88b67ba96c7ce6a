"""A bad input, and the trial of one: it is really given, the answer is read, and everything made
before is compared.
"""

import contextlib
import io
import logging
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muse_core.errors import MuseError
from torture.sentences import unclear
from torture.workspace import Workspace

Act = Callable[["Desk"], Any]


@dataclass(frozen=True)
class Desk:
    """What a row works with: the planted ``workspace``, and a ``folder`` of its own for the files
    it brings.
    """

    workspace: Workspace
    folder: Path


@dataclass(frozen=True)
class BadInput:
    """``does``: what a user does, in words. ``names``: the value or place that the answer must
    mention; ``fix``: a piece of it that says what to do. ``arrange`` writes the user's files,
    ``act`` is the mistake: a call, or a command's exit code."""

    name: str
    does: str
    names: str
    fix: str
    act: Act
    arrange: Act = lambda desk: None


@dataclass(frozen=True)
class Verdict:
    """``why``: what is wrong with the answer, "" where it is clear and nothing was lost; ``said``:
    the answer itself.
    """

    name: str
    said: str
    why: str


def tried(row: BadInput, workspace: Workspace) -> Verdict:
    """Arrange, act, and judge the answer."""
    desk = Desk(workspace, workspace.desk(row.name))
    with quiet():
        row.arrange(desk)
        before = workspace.digests()
        said, failed = _answer(row, desk)
    after = workspace.digests()
    changed = sorted(
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    )
    lost = f"it changed {changed[0]}" if changed else ""
    return Verdict(row.name, said, failed or lost or unclear(said, row.names, row.fix))


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
    except BaseException as error:  # exactly what must never reach a user
        place = traceback.extract_tb(error.__traceback__)[-1]
        return (
            f"{type(error).__name__}: {error}",
            f"a bare {type(error).__name__} in {place.name}, line {place.lineno}",
        )
    said = heard.getvalue().strip()
    if not code or isinstance(code, bool) or not isinstance(code, int):
        return said, "the bad input was accepted"
    return said.removeprefix("muse: "), "" if said.startswith(
        "muse: "
    ) else "the exit code has no sentence"


@contextlib.contextmanager
def quiet() -> Any:
    """No output but the sentence: libraries' logs, warnings and prints are kept away from the
    answer.
    """
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
