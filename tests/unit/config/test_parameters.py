"""The values of a parameters cell are checked, and a wrong one is one sentence."""

from dataclasses import replace
from typing import Any

import pytest

from muse_core.config.parameters import NotebookParameters, StageParameters
from muse_core.config.preset import FoundationChoice
from muse_core.config.presets import preset_named
from muse_core.errors import MuseError
from muse_core.training.launch import Launch

GOOD: dict[str, Any] = {
    "run": "smoke",
    "preset": "smoke",
    "data": "scenes",
    "steps": 0,
    "batch_size": 0,
    "seed": 0,
    "device": "cpu",
    "resume": True,
    "routing": "muse",
}


def test_zero_steps_and_batch_size_leave_the_choice_to_the_preset() -> None:
    checked = StageParameters.check(**GOOD)
    assert checked.steps is None and checked.batch_size is None


def test_texts_from_papermill_become_what_they_mean() -> None:
    checked = StageParameters.check(
        **GOOD | {"steps": "1e3", "batch_size": 16.0, "resume": "false"}
    )
    assert (checked.steps, checked.batch_size, checked.resume) == (1000, 16, False)


def test_a_float_written_without_a_dot_is_a_number() -> None:
    class Rate(NotebookParameters):
        lr: float

    assert Rate.check(lr="1e-4").lr == 1e-4


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (
            {"steps": -5},
            "steps must be a positive integer of at most 1,000,000,000, or 0 or None for what the preset says: got -5.",
        ),
        ({"steps": 2.5}, "steps must be a positive integer"),
        ({"steps": True}, "steps must be a positive integer"),
        ({"steps": "many"}, "got 'many'"),
        ({"batch_size": -1}, "batch_size must be a positive integer"),
        ({"seed": -1}, "seed must be zero or a positive integer of at most 4294967295: got -1."),
        ({"resume": "maybe"}, "resume must be true or false: got 'maybe'."),
        ({"run": "../up"}, "not a folder name"),
        ({"run": 7}, "run must be a text: got 7."),
        ({"preset": " "}, "preset must be a text that is not empty"),
        ({"stepz": 1}, "There is no parameter 'stepz'"),
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


def test_other_pretrained_parts_travel_together_and_the_rest_without_them() -> None:
    checked = StageParameters.check(
        **GOOD | {"backbone": "OpenGVLab/InternVL3-1B-hf", "text_tower": " "}
    )
    assert checked.foundations == FoundationChoice(
        backbone="OpenGVLab/InternVL3-1B-hf", text_tower=" "
    )
    assert checked.for_run().keys() == GOOD.keys() | {
        "foundations",
        "launch",
        "trackers",
        "bad_steps",
    }
    assert checked.load_preset().foundations == replace(
        preset_named("smoke").foundations, backbone="OpenGVLab/InternVL3-1B-hf"
    )


@pytest.mark.parametrize(
    "wrong", [{"processes": 0}, {"processes": True}, {"processes": "two"}, {"accelerate_config": 3}]
)
def test_processes_are_counted(wrong) -> None:
    assert StageParameters.check(**GOOD | {"processes": "2"}).launch == Launch(2)
    with pytest.raises(MuseError, match=f"^{next(iter(wrong))} must be"):
        StageParameters.check(**GOOD | wrong)


def test_a_part_that_is_no_text_is_one_sentence() -> None:
    with pytest.raises(MuseError, match=r"teacher must be a text: got 3\."):
        StageParameters.check(**GOOD | {"teacher": 3})
