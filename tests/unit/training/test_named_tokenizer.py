"""A tokenizer is found by its run, its folder, or as the newest; and its preset by its run."""

import os
from pathlib import Path

import pytest

from muse_core import paths
from muse_core.errors import MuseError
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.results.records import write_json
from muse_core.results.trained_code import folder_fingerprint
from muse_core.training.named_tokenizer import NamedTokenizer, named_tokenizer
from tests.unit.models.small_models import small_tokenizer

FIRST, LAST = "01_topology_warmup", "03_synergistic_tuning"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def finished(workspace: Path, run: str, stage: str, written: int = 0) -> Path:
    """What a stage leaves, as far as a name is looked up; ``written``: seconds since 1970."""
    folder = workspace / "data" / "runs" / run / stage / "tokenizer"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    os.utime(folder / "config.json", (written, written))
    return folder


def test_a_run_is_its_last_finished_stage(workspace: Path) -> None:
    finished(workspace, "mine", FIRST)
    last = finished(workspace, "mine", LAST)
    finished(workspace, "mine", f"{LAST}.previous", 40)
    (workspace / "data/runs/mine/08_generation").mkdir()
    expected = NamedTokenizer(str(last), "mine", LAST)
    for words in ("mine", "data/runs/mine", f"data/runs/mine/{LAST}", str(last)):
        assert named_tokenizer(words) == expected
    assert str(expected) == f"mine, {LAST}"
    assert named_tokenizer(f"data/runs/mine/{FIRST}").stage == FIRST


def test_without_a_name_the_newest_of_those_that_are_furthest_is_meant(workspace: Path) -> None:
    finished(workspace, "old", LAST, 10)
    newest = finished(workspace, "new", LAST, 20)
    finished(workspace, "just-begun", FIRST, 30)
    assert named_tokenizer() == NamedTokenizer(str(newest), "new", LAST)


def test_outside_a_workspace_a_folder_is_enough(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_tokenizer().save_pretrained(workspace / "copied")
    monkeypatch.setattr(paths, "workspace", lambda: None)
    assert named_tokenizer(str(workspace / "copied")).load() is not None
    with pytest.raises(MuseError, match="There is no tokenizer in 'mine'"):
        named_tokenizer("mine")


def test_a_runs_folder_says_where_its_tokenizer_is(workspace: Path) -> None:
    finished(workspace, "mine", FIRST)
    with pytest.raises(MuseError, match=f"holds one: give .*{FIRST}/tokenizer"):
        MuseTokenizer.from_pretrained("data/runs/mine")


def test_a_folder_of_its_own_is_of_no_run_and_its_preset_is_asked_for(workspace: Path) -> None:
    small_tokenizer().save_pretrained(workspace / "copied")
    found = named_tokenizer("copied")
    assert found == NamedTokenizer(str(workspace / "copied"))
    assert found.fingerprint == folder_fingerprint(workspace / "copied")
    loaded = found.load()
    assert not loaded.training and not any(each.requires_grad for each in loaded.parameters())
    assert found.preset("tiny").name == "tiny"
    with pytest.raises(MuseError, match="name it with --preset"):
        found.preset()


def test_the_hub_is_meant_by_owner_and_name(workspace: Path) -> None:
    found = named_tokenizer("owner/name")
    assert (found.place, found.fingerprint, found.run) == ("owner/name", "owner/name", "")


def test_a_run_knows_its_preset_with_its_overrides(workspace: Path) -> None:
    finished(workspace, "wide", FIRST)
    record = {"run": "wide", "preset": "tiny", "overrides": "connector.num_blocks=4"}
    write_json(workspace / "reports/wide/records/stage1.json", record)
    assert named_tokenizer("wide").preset().connector.num_blocks == 4


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("", r"No run of .* has a finished stage.*`muse demo`"),
        ("nobody", "no tokenizer in 'nobody', neither a folder nor a run"),
        ("empty", "no tokenizer in 'empty'"),
        ("a/b/c", "no tokenizer in 'a/b/c'"),
    ],
)
def test_where_there_is_none_a_sentence_names_the_fix(
    workspace: Path, given: str, words: str
) -> None:
    (workspace / "empty").mkdir()
    with pytest.raises(MuseError, match=words):
        named_tokenizer(given)
