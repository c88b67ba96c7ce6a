"""The only place that knows where data, runs and reports live; nothing depends on the working directory."""

import os
import re
from pathlib import Path

from muse_core.errors import MuseError


def root() -> Path:
    """The workspace: ``MUSE_ROOT`` if set, else the checkout that holds this package."""
    given = os.environ.get("MUSE_ROOT")
    return Path(given).expanduser().resolve() if given else Path(__file__).resolve().parents[1]


def notebooks() -> Path:
    return root() / "notebooks"


def foundations(name: str) -> Path:
    """Committed or local pretrained networks, e.g. ``data/foundations/tiny``."""
    return root() / "data" / "foundations" / name


GALLERY, ABLATIONS, GENERATION = "gallery", "ablations", "generation"
COMMITTED = {GALLERY: "make gallery", ABLATIONS: "make ablations", GENERATION: "make generation"}
"""The folders of ``reports`` that are committed, and so no runs' names -> what writes them."""


def check_run_name(run: str) -> str:
    """The run's name, if it can be a folder's name. Raises MuseError otherwise."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", run):
        raise MuseError(f"The run name {run!r} is not a folder name: use letters, digits, '.', '_' and '-'.")
    if run in COMMITTED:
        raise MuseError(f"The run name {run!r} is taken: reports/{run} is what `{COMMITTED[run]}` writes; use another.")
    return run


def run_folder(run: str) -> Path:
    """Weights and checkpoints of a run: ``data/runs/<run>``."""
    return root() / "data" / "runs" / check_run_name(run)


def report_folder(run: str) -> Path:
    """Executed notebooks, pages and records of a run: ``reports/<run>``."""
    return root() / "reports" / check_run_name(run)


def records_folder(run: str) -> Path:
    return report_folder(run) / "records"


def writable(folder: Path) -> Path:
    """The folder, made if absent and tried with a small file. Raises MuseError when nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".write-test-{os.getpid()}"
        probe.write_bytes(b"muse")
        probe.unlink()
    except OSError as error:
        raise MuseError(
            f"Cannot write to {folder} ({error.strerror}): free some space, mend its permissions, or set MUSE_ROOT."
        ) from error
    return folder


def user_path(text: str) -> Path:
    """A path the user gave: ``~`` expanded; a relative one is tried from the working directory, then from the workspace.

    Raises MuseError for what no disk takes as a path.
    """
    try:
        path = Path(text).expanduser()
        if path.exists() or path.is_absolute():
            return path.resolve()
        return (root() / path).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise MuseError(f"{text[:200]!r} cannot be a path ({error}): write it again.") from error
