"""Edits are judged: the scene after is right, the scene before and another's after are not."""

import pytest
import torch

from muse_core import paths
from muse_core.data.scene_edits import EDITS
from muse_core.data.scenes import Scenes
from muse_core.errors import MuseError
from muse_core.evaluation.generation.edits_done import DONE, edit_cases, measured_edits
from muse_core.foundations.scene_detector import load_scene_detector
from muse_core.results.measurements import EDIT_KINDS, METRICS, OF_EDITS

EACH = 8


@pytest.fixture(scope="module")
def cases():
    return edit_cases(Scenes("val"), EACH)


@pytest.fixture(scope="module")
def detector():
    return load_scene_detector(paths.checkout() / "data/foundations/tiny/scene_detector")


def test_every_kind_has_as_many_and_a_metric(cases) -> None:
    kinds = [case.edit.kind for case in cases]
    assert {kind: kinds.count(kind) for kind in EDITS} == dict.fromkeys(EDITS, EACH)
    assert tuple(EDITS) == EDIT_KINDS and set(DONE) == set(EDITS) and set(OF_EDITS) <= set(METRICS)


def test_what_was_asked_for_is_right_and_what_was_is_not(cases, detector) -> None:
    after = measured_edits(detector, torch.stack([case.after for case in cases]), cases)
    before = measured_edits(detector, torch.stack([case.before for case in cases]), cases)
    assert after["edits"].value > 0.85 and before["edits"].value < 0.1
    for kind in EDITS:
        assert after[f"edits_{kind}"].value > before[f"edits_{kind}"].value, kind
    # The rest is the very same picture in both.
    assert before["edit_background"].value == pytest.approx(100, abs=1)
    assert after["edit_background"].value > 40


def test_the_image_of_another_edit_is_rarely_right(cases, detector) -> None:
    shifted = [cases[at - at % EACH + (at + 1) % EACH] for at in range(len(cases))]
    others = measured_edits(detector, torch.stack([case.after for case in shifted]), cases)
    assert others["edits"].value < 0.5 and others["edit_background"].value < 20


def test_an_empty_image_removes_nothing_that_counts(cases, detector) -> None:
    removed = [case for case in cases if case.edit.kind == "remove"]
    blank = torch.full((len(removed), 3, 64, 64), 0.5)
    assert measured_edits(detector, blank, removed)["edits"].value == 0


def test_too_few_scenes_are_a_sentence() -> None:
    with pytest.raises(MuseError, match="too few scenes for 5000 edits a kind"):
        edit_cases(Few("val"), 5000)


class Few(Scenes):
    """A split of three hundred."""

    def __len__(self) -> int:
        return 300
