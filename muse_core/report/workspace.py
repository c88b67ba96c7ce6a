"""A new workspace: notebooks and studies to change, folders for runs and reports."""

import shutil
from pathlib import Path

from muse_core import __version__, paths
from muse_core.errors import MuseError
from muse_core.report.index import TEMPLATES

COPIED = ("notebooks", "studies")
MADE = ("data", "reports")
IGNORED = "data/runs/\ndata/raw/\ndata/shard_indexes/\ndata/teacher_views/\n.ipynb_checkpoints/\n"


def new_workspace(folder: Path) -> Path:
    """Make a workspace; the pretrained networks stay with the package.

    Args:
        folder: Absent or empty.

    Returns:
        The folder.

    Raises:
        MuseError: It holds something already, or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise MuseError(f"{folder} is there already and not empty: name a new folder.")
    paths.writable(folder)
    try:
        for name in COPIED:
            ignored = shutil.ignore_patterns(".ipynb_checkpoints")
            shutil.copytree(paths.shipped() / name, folder / name, ignore=ignored)
        for name in MADE:
            (folder / name).mkdir()
        shutil.copyfile(TEMPLATES / "workspace.md", folder / "README.md")
        (folder / ".gitignore").write_text(IGNORED)
        (folder / paths.MARK).write_text(f"A MUSE workspace, made by version {__version__}.\n")
    except OSError as error:
        raise MuseError(
            f"Cannot write {folder} ({error.strerror}): free some space or mend its permissions."
        ) from error
    return folder
