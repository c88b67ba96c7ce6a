"""Notebooks as git has them, whatever JupyterLab saved into the files since."""

import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path


def committed(folder: Path) -> dict[str, str]:
    """Path below the folder -> text of each notebook in git's index; outside git, of each file."""
    git = partial(subprocess.check_output, cwd=folder, encoding="utf-8", stderr=subprocess.DEVNULL)
    try:
        names = git(["git", "ls-files", "-z", "--", "*.ipynb"]).split("\0")[:-1]
        found = {name: git(["git", "show", f":./{name}"]) for name in names}
    except (OSError, subprocess.CalledProcessError):
        found = {}
    return found or {file: (folder / file).read_text("utf-8") for file in files(folder)}


def files(folder: Path) -> list[str]:
    """Paths of the notebooks below a folder, without JupyterLab's own copies."""
    found = (file.relative_to(folder) for file in folder.rglob("*.ipynb"))
    return sorted(str(file) for file in found if ".ipynb_checkpoints" not in file.parts)


def unstripped(texts: Mapping[str, str], scratch: Path) -> str:
    """What nbstripout, called as before a commit, says of notebooks that are not stripped.

    Args:
        texts: As `committed` gives them.
        scratch: A folder to write them to.
    """
    for name, text in texts.items():
        file = scratch / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    command = [sys.executable, "-m", "nbstripout", "--keep-id", "--verify", *texts]
    found = subprocess.run(command, cwd=scratch, capture_output=True, text=True)
    return (found.stdout + found.stderr).strip() if found.returncode else ""
