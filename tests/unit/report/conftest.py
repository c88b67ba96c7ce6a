"""A workspace of tiny notebooks in a temporary folder."""

from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

PARAMETERS = """run: str = "smoke"  # name of the run
preset: str = "smoke"  # smoke | tiny
device: str = "cpu"  # cpu | cuda"""

Writer = Callable[..., Path]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty workspace that `muse_core.paths` points at."""
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "notebooks").mkdir()
    return tmp_path


@pytest.fixture
def write_notebook(workspace: Path) -> Writer:
    """``write_notebook("00_a", "print(1)", parameters="x: int = 1")`` writes a source notebook."""

    def write(
        stem: str, *code: str, parameters: str = "", title: str = "A title", claim: str = "A claim."
    ) -> Path:
        declared = nbformat.v4.new_code_cell(
            "\n".join(part for part in (PARAMETERS, parameters) if part)
        )
        declared.metadata["tags"] = ["parameters"]
        prose = nbformat.v4.new_markdown_cell(f"# {title}\n\n{claim}")
        cells = [prose, declared, *(nbformat.v4.new_code_cell(one) for one in code)]
        path = workspace / "notebooks" / f"{stem}.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
        return path

    return write
