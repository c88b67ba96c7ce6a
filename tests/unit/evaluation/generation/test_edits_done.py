"""Edits are judged: the scene after is right, the scene before and another's after are not."""

import pytest
import torch

from muse_core import paths
from muse_core.data.scene_edits import EDITS
from muse_core.data.scenes import Scenes, draw
from muse_core.errors import MuseError
from muse_core.evaluation.generation.edits_done import (
    ANYWHERE,
    DONE,
    GivenBack,
    edit_cases,
    measured_edits,
)
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
    whole = GivenBack.whole(cases)
    after = measured_edits(detector, whole.after, cases, whole)
    before = measured_edits(detector, whole.before, cases, whole)
    assert after["edits"].value > 0.85
    for kind in set(EDITS) - set(ANYWHERE):
        assert before[f"edits_{kind}"].value == 0 < after[f"edits_{kind}"].value, kind
    assert before["edits_add"].value <= 0.125
    # The rest is the very same picture in both.
    assert before["edit_background"].value == pytest.approx(100, abs=1)
    assert after["edit_background"].value > 40


def test_the_image_of_another_edit_is_never_right(cases, detector) -> None:
    shifted = [cases[at - at % EACH + (at + 1) % EACH] for at in range(len(cases))]
    images = torch.stack([case.after for case in shifted])
    others = measured_edits(detector, images, cases, GivenBack.whole(cases))
    assert others["edits"].value < 0.03 and others["edit_background"].value < 20


@pytest.mark.parametrize("make", ["grey", "noise"])
def test_an_image_of_nothing_is_no_edit_of_any_kind(cases, detector, make: str) -> None:
    noise = torch.Generator().manual_seed(0)
    shape = GivenBack.whole(cases).before.shape
    images = torch.rand(shape, generator=noise) if make == "noise" else torch.full(shape, 0.5)
    found = measured_edits(detector, images, cases)
    assert all(found[f"edits_{kind}"].value == 0 for kind in EDITS), found


def test_an_edit_leaves_every_other_object_as_it_is(cases, detector) -> None:
    """Its colour, its place, and that it is there: also where another of its shape is."""
    crowded = [case for case in cases if len(case.stays) > 1 and case.edit.number >= 0]
    images = torch.stack([case.after for case in crowded])
    for at, case in enumerate(crowded):
        # The last of the parts is an object, painted as the ground beside it.
        ground, one = case.stays[0], case.stays[-1]
        images[at][:, one] = images[at][:, ground].mean(1, keepdim=True)
    spoilt = measured_edits(detector, images, crowded)["edits"].value
    whole = measured_edits(detector, GivenBack.whole(crowded).after, crowded)["edits"].value
    assert whole > 0.85 and spoilt < 0.1 * whole


def test_a_copy_is_no_move(cases, detector) -> None:
    moves = [case for case in cases if case.edit.kind == "move"]
    both = []
    for case in moves:
        was = (case.before - case.after).abs().amax(0) > 0.02
        where = draw(case.edit.before, 64)[1][0] == case.edit.number + 1
        both.append(torch.where(was & where, case.before, case.after))
    assert measured_edits(detector, torch.stack(both), moves)["edits"].value < 0.2


def test_what_stays_is_measured_against_what_the_tokenizer_makes_of_it(cases, detector) -> None:
    whole = GivenBack.whole(cases)
    assert "edit_background" not in measured_edits(detector, whole.after, cases)
    # A tokenizer that darkens everything: an edit on its latents that leaves the rest is no worse.
    darker = GivenBack(whole.before * 0.8, whole.after * 0.8)
    kept = measured_edits(detector, darker.after, cases, darker)
    lost = measured_edits(detector, whole.after, cases, darker)
    assert kept["edit_background"].value > 40 and lost["edit_background"].value < 30
    assert kept["edits"].value > 0.6


def test_what_is_no_number_is_a_sentence(cases, detector) -> None:
    images = GivenBack.whole(cases).after
    images[3, 0, 5, 5] = float("nan")
    with pytest.raises(MuseError, match="Image 4 of 56 holds values that are no numbers"):
        measured_edits(detector, images, cases)


def test_too_few_scenes_are_a_sentence() -> None:
    with pytest.raises(MuseError, match="too few scenes for 5000 edits a kind"):
        edit_cases(Few("val"), 5000)


def test_the_last_scene_counts() -> None:
    for count in range(7, 40):
        try:
            found = edit_cases(Few("val", count=count), 1)
        except MuseError as error:
            assert "a kind: " in str(error) and not str(error).endswith(": .")
        else:
            assert len(found) == 7
            break
    else:
        pytest.fail("forty scenes allow each kind")


class Few(Scenes):
    """The first scenes of a split."""

    def __init__(self, split: str, count: int = 300) -> None:
        super().__init__(split)
        self.count = count

    def __len__(self) -> int:
        return self.count
