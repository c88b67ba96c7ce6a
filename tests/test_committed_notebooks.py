"""After exploring in JupyterLab the tests still pass; what would be committed unstripped does not."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from . import test_notebook_conventions as conventions
from .committed_notebooks import committed, files, unstripped

SOURCE = conventions.NOTEBOOKS / "00_foundations.ipynb"


def explored(notebook: Any) -> Any:
    """As JupyterLab saves a notebook that was run: outputs, counts, widgets, its own kernel."""
    for count, cell in enumerate(conventions.code(notebook), start=1):
        cell.execution_count = count
        cell.outputs = [nbformat.v4.new_output("stream", text=f"cell {count}\\n")]
        cell.metadata["scrolled"] = True
    state = {"application/vnd.jupyter.widget-state+json": {"state": {}, "version_major": 2}}
    notebook.metadata["widgets"] = state
    notebook.metadata["kernelspec"] = {"name": "mine", "display_name": "Mine", "language": "python"}
    return notebook


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the stripped notebook, and a copy that JupyterLab keeps beside it."""
    place = tmp_path / "repository" / "notebooks"
    (place / ".ipynb_checkpoints").mkdir(parents=True)
    (place / "00_foundations.ipynb").write_text(SOURCE.read_text())
    write(place, ".ipynb_checkpoints/00_foundations-checkpoint.ipynb")
    return place


def write(folder: Path, name: str = "00_foundations.ipynb") -> None:
    nbformat.write(explored(nbformat.read(SOURCE, as_version=4)), folder / name)


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)


def test_outputs_in_the_files_are_no_ones_business_until_they_are_added(
    folder: Path, tmp_path: Path
) -> None:
    git(folder, "init")
    git(folder, "add", "00_foundations.ipynb")
    stripped = committed(folder)
    assert list(stripped) == files(folder) == ["00_foundations.ipynb"]
    write(folder)
    assert committed(folder) == stripped and not unstripped(committed(folder), tmp_path / "one")
    git(folder, "add", "00_foundations.ipynb")
    assert "00_foundations.ipynb" in unstripped(committed(folder), tmp_path / "two")


def test_outside_git_the_files_count(folder: Path, tmp_path: Path) -> None:
    assert not unstripped(committed(folder), tmp_path / "one")
    write(folder)
    assert "00_foundations.ipynb" in unstripped(committed(folder), tmp_path / "two")


def test_every_other_convention_is_about_the_source(folder: Path, monkeypatch) -> None:
    write(folder)
    monkeypatch.setattr(conventions, "FILES", [folder / "00_foundations.ipynb"])
    tests = [getattr(conventions, name) for name in dir(conventions) if name.startswith("test_")]
    alone = [test for test in tests if not test.__code__.co_argcount]
    assert len(alone) > 5
    for test in alone:
        test()


CHANGED = """
import nbformat
cells = [nbformat.v4.new_code_cell("print(1)", id="prints"), nbformat.v4.new_code_cell("2", id="two")]
cells[0].execution_count = 1
cells[0].outputs = [nbformat.v4.new_output("stream", text="another text")]
cells[1].outputs = [nbformat.v4.new_output("execute_result", {"text/plain": "3"}, execution_count=9)]
nbformat.write(nbformat.v4.new_notebook(cells=cells), "saved.ipynb")
"""


def test_nbval_compares_no_saved_output_not_even_of_a_cell_that_was_still_running(
    tmp_path: Path,
) -> None:
    subprocess.run([sys.executable, "-c", CHANGED], cwd=tmp_path, check=True)
    nbval = ["--nbval-lax", "--nbval-current-env", "-p", "tests.conftest"]
    found = subprocess.run(
        [sys.executable, "-m", "pytest", *nbval, "-q", "-p", "no:cacheprovider", "saved.ipynb"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(conventions.NOTEBOOKS.parent)},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0 and "2 passed" in found.stdout, found.stdout
