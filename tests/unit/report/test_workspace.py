"""A new workspace holds the notebooks and nothing that is not the reader's."""

from pathlib import Path

import pytest

from muse_core import paths
from muse_core.errors import MuseError
from muse_core.report.workspace import new_workspace


def test_a_new_workspace_is_known_and_has_every_notebook_and_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MUSE_ROOT", raising=False)
    made = new_workspace(tmp_path / "mine")
    monkeypatch.chdir(made / "notebooks")
    assert paths.root() == made
    names = lambda home: {file.name for file in home.rglob("*.ipynb")}
    assert names(made / "notebooks") == names(paths.shipped() / "notebooks")
    assert {file.name for file in made.glob("studies/*")} == {
        file.name for file in (paths.shipped() / "studies").glob("*")
    }
    assert (made / "notebooks/.jupyter/labconfig").is_dir(), "what `muse lab` reads"
    assert "muse demo" in (made / "README.md").read_text()
    assert {file.name for file in made.iterdir()} == {
        *("notebooks", "studies", "data", "reports", "README.md", ".gitignore", paths.MARK)
    }


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("!")
    with pytest.raises(MuseError, match="not empty: name a new folder"):
        new_workspace(tmp_path / "mine")
    with pytest.raises(MuseError, match="not empty"):
        new_workspace(tmp_path / "mine" / "thesis.txt")
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
