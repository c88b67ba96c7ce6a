import sys
from pathlib import Path

import pytest

from muse_core import paths
from muse_core.errors import MuseError


def test_the_root_is_the_checkout_unless_muse_root_says_otherwise(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("MUSE_ROOT", raising=False)
    assert paths.root() == Path(paths.__file__).resolve().parents[1]
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))
    assert (
        paths.root() == tmp_path.resolve()
        and paths.records_folder("a") == tmp_path.resolve() / "reports/a/records"
    )
    monkeypatch.chdir("/")
    assert paths.run_folder("a") == tmp_path.resolve() / "data/runs/a"


@pytest.mark.parametrize("name", ["tiny", "2026-11-23_try.2", "A"])
def test_a_folder_name_is_a_run_name(name) -> None:
    assert paths.check_run_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "..", "a/b", ".hidden", "two words", "x" * 65, "-flag", "a\n"]
)
def test_anything_else_is_refused(name) -> None:
    with pytest.raises(MuseError, match="is not a folder name"):
        paths.run_folder(name)


@pytest.mark.parametrize("name", ["gallery", "look", "evaluate"])
def test_a_folder_that_a_command_writes_is_no_runs(name: str) -> None:
    with pytest.raises(MuseError, match=f"'{name}' is taken"):
        paths.report_folder(name)


def test_writable_makes_the_folder_and_leaves_nothing_in_it(tmp_path) -> None:
    assert list(paths.writable(tmp_path / "a" / "b").iterdir()) == []


def test_a_file_in_the_way_is_a_sentence(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(MuseError, match=r"Cannot write to .*file.*MUSE_ROOT"):
            paths.writable(place)


@pytest.fixture
def here_and_workspace(tmp_path, monkeypatch) -> tuple[Path, Path]:
    """A folder where the user types, and a workspace; both hold ``both``."""
    here, workspace = tmp_path / "here", tmp_path / "workspace"
    for folder in (here / "both", workspace / "both", workspace / "only"):
        folder.mkdir(parents=True)
    monkeypatch.setenv("MUSE_ROOT", str(workspace))
    monkeypatch.setenv("HOME", str(here))
    monkeypatch.chdir(here)
    return here, workspace


def test_a_users_path_means_the_folder_where_it_was_typed(here_and_workspace) -> None:
    here, workspace = here_and_workspace
    assert paths.user_path("both") == here / "both", "his own first"
    assert paths.user_path("only") == workspace / "only", "what our messages name is found as well"
    assert paths.user_path("none") == here / "none", "and what is nowhere is missed where he is"
    assert paths.user_path("~/both") == here / "both"
    assert paths.user_path(str(workspace)) == workspace
    assert paths.user_path("only/{0..9}.tar") == workspace / "only/{0..9}.tar"
    found = paths.user_paths(["both", "only", "~/both", "only"])
    assert found == [here / "both", here / "only", here / "both", here / "only"]
    found = paths.user_paths(["only", "none", "x/none"])
    assert found == [workspace / "only", workspace / "none", here / "x" / "none"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("scenes", "scenes"),
        ("folder:both", "folder:{here}/both"),
        ("wds: only/{0..9}.tar", "wds:{workspace}/only/{{0..9}}.tar"),
        ("hf:owner/name", "hf:owner/name"),
        ("hf:both", "hf:{here}/both"),
        ("wds:https://a.b/c.tar", "wds:https://a.b/c.tar"),
        ("mix:3*folder:both, 0.5*scenes", "mix:3*folder:{here}/both, 0.5*scenes"),
        ("folder:", "folder:"),
        ("foldr:both", "foldr:both"),
    ],
)
def test_a_data_source_is_named_with_the_path_it_means_here(
    here_and_workspace, typed: str, meant: str
) -> None:
    here, workspace = here_and_workspace
    assert paths.absolute_spec(typed) == meant.replace("{here}", str(here)).replace(
        "{workspace}", str(workspace)
    ).replace("{{", "{").replace("}}", "}")


def test_an_empty_workspace_has_the_checkouts_notebooks(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))
    checkout = Path(paths.__file__).resolve().parents[1]
    assert paths.notebooks() == checkout / "notebooks" and paths.studies() == checkout / "studies"
    assert paths.foundations("tiny") == checkout / "data/foundations/tiny"
    assert paths.run_folder("mine") == tmp_path / "data/runs/mine", "and keeps its own runs"
    (tmp_path / "notebooks").mkdir()
    assert paths.notebooks() == tmp_path / "notebooks"


def test_a_workspace_is_found_from_anywhere_inside_it(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("MUSE_ROOT", raising=False)
    inside = tmp_path / "mine" / "notebooks"
    inside.mkdir(parents=True)
    (tmp_path / "mine" / paths.MARK).write_text("")
    monkeypatch.chdir(inside)
    assert paths.root() == tmp_path / "mine" and paths.notebooks() == inside
    assert paths.foundations("tiny") == paths.checkout() / "data/foundations/tiny"
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))
    assert paths.root() == tmp_path


def test_installed_code_has_its_own_copies_and_nothing_is_written_beside_it(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.delenv("MUSE_ROOT", raising=False)
    monkeypatch.setattr(paths, "__file__", str(tmp_path / "site" / "muse_core" / "paths.py"))
    monkeypatch.chdir(tmp_path)
    copies = tmp_path / "site/muse_core/workspace"
    assert paths.notebooks() == copies / "notebooks"
    assert paths.foundations("tiny") == copies / "data/foundations/tiny"
    assert paths.user_path("mine") == tmp_path / "mine"
    with pytest.raises(MuseError, match="in no MUSE workspace: `muse new FOLDER` makes one"):
        paths.run_folder("mine")


def test_outside_any_workspace_a_notebook_writes_beside_itself_and_doctor_says_so(
    tmp_path, monkeypatch, capsys
) -> None:
    from muse_core.notebook import setup
    from muse_core.report.doctor import facts

    monkeypatch.delenv("MUSE_ROOT", raising=False)
    monkeypatch.setattr(paths, "workspace", lambda: None)
    assert facts()["workspace"] == "none here: `muse new FOLDER` makes one"
    monkeypatch.undo()
    monkeypatch.setenv("MUSE_ROOT", "")
    monkeypatch.setattr(paths, "__file__", str(tmp_path / "site" / "muse_core" / "paths.py"))
    monkeypatch.chdir(tmp_path)
    given = dict(run="a", preset="tyni", data="scenes", seed=0, device="cpu", resume=False)
    with pytest.raises(MuseError, match="Unknown preset"):
        setup("02_semantic_injection", given)
    assert f"workspace    {tmp_path}" in capsys.readouterr().out
    assert paths.run_folder("a") == tmp_path / "data/runs/a"


@pytest.mark.parametrize("typed", ["", "a" * 300, "a\0b", "~nobody-of-this-name/x"])
def test_what_can_be_no_path_is_a_sentence(typed: str) -> None:
    with pytest.raises(MuseError, match="can be no path on this machine"):
        paths.new_path(typed)


def test_the_checkouts_scripts_can_be_imported_from_any_folder(tmp_path, monkeypatch) -> None:
    checkout = Path(paths.__file__).resolve().parents[1]
    elsewhere = [path for path in sys.path if Path(path or ".").resolve() != checkout]
    monkeypatch.setattr(sys, "path", list(elsewhere))
    monkeypatch.chdir(tmp_path)
    paths.import_from_checkout()
    paths.import_from_checkout()
    assert sys.path == [*elsewhere, str(checkout)]


def test_a_package_without_its_checkout_has_no_scripts(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(paths, "__file__", str(tmp_path / "muse_core" / "paths.py"))
    with pytest.raises(MuseError, match="no folder scripts"):
        paths.import_from_checkout()
