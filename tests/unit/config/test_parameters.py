"""The values of a parameters cell are checked, and a wrong one is one sentence."""

from typing import Any

import pytest

from muse_core.config.parameters import NotebookParameters, StageParameters, placed
from muse_core.errors import MuseError

GOOD: dict[str, Any] = {
    "run": "smoke",
    "preset": "smoke",
    "data": "scenes",
    "overrides": "",
    "seed": 0,
    "device": "cpu",
    "resume": True,
}


def test_an_overridable_field_by_its_name_becomes_an_override() -> None:
    given = GOOD | {"steps": "1e3", "overrides": "weights.topology=2", "teacher": "a b"}
    checked = StageParameters.check(**given)
    assert checked.overrides == "weights.topology=2 stage.steps=1e3 'foundations.teacher=a b'"
    stage = checked.load_preset("01_topology_warmup").curriculum["01_topology_warmup"]
    assert (stage.steps, stage.weights["topology"]) == (1000, 2.0)


@pytest.mark.parametrize("nothing", [0, None, ""])
def test_nought_leaves_the_choice_to_the_preset(nothing) -> None:
    assert StageParameters.check(**GOOD | {"steps": nothing}).overrides == ""


def test_texts_from_papermill_become_what_they_mean() -> None:
    checked = StageParameters.check(**GOOD | {"seed": "1e3", "resume": "false"})
    assert (checked.seed, checked.resume) == (1000, False)


def test_a_float_written_without_a_dot_is_a_number() -> None:
    class Rate(NotebookParameters):
        lr: float

    assert Rate.check(lr="1e-4").lr == 1e-4


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"seed": -1}, "seed must be zero or a positive integer of at most 4294967295: got -1."),
        ({"resume": "maybe"}, "resume must be true or false: got 'maybe'."),
        ({"run": "../up"}, "not a folder name"),
        ({"run": 7}, "run must be a text: got 7."),
        ({"preset": " "}, "preset must be a text that is not empty"),
        ({"stepz": 1}, "There is no parameter 'stepz' (did you mean 'steps'?)"),
    ],
)
def test_a_wrong_value_is_one_sentence(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(MuseError) as caught:
        StageParameters.check(**GOOD | wrong)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_value_is_named() -> None:
    with pytest.raises(MuseError, match="'seed' has no value"):
        StageParameters.check(**{name: value for name, value in GOOD.items() if name != "seed"})


def test_the_checked_parameters_cannot_change() -> None:
    with pytest.raises(Exception, match="frozen"):
        StageParameters.check(**GOOD).run = "other"  # type: ignore[misc]


@pytest.mark.parametrize("wrong", [{"processes": 0}, {"processes": True}, {"processes": "two"}])
def test_processes_are_counted(wrong) -> None:
    assert StageParameters.check(**GOOD | {"processes": "2"}).processes == 2
    with pytest.raises(MuseError, match=r"^processes must be"):
        StageParameters.check(**GOOD | wrong)


def test_relative_paths_mean_the_folder_where_they_are_typed(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("photos/a.jpg", "teacher/config.json", "mine.yaml", "tiny"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("extends: tiny")
    assert placed(
        {
            "data": "folder:photos",
            "image": "cat, photos/a.jpg",
            "preset": "mine.yaml",
            "overrides": "teacher=teacher stage.steps=3 backbone=owner/name",
            "run": "photos",
        }
    ) == {
        "data": f"folder:{tmp_path}/photos",
        "image": f"cat, {tmp_path}/photos/a.jpg",
        "preset": f"{tmp_path}/mine.yaml",
        "overrides": f"teacher={tmp_path}/teacher stage.steps=3 backbone=owner/name",
        "run": "photos",
    }
    assert placed({"preset": "tiny"}) == {"preset": "tiny"}, "a file of that name is no preset"
    assert placed({"teacher": "teacher"}) == {"teacher": f"{tmp_path}/teacher"}
