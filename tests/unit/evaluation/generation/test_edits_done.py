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
    original = torch.stack([case.before for case in cases])
    after = measured_edits(
        detector, torch.stack([case.after for case in cases]), cases, unedited=original
    )
    before = measured_edits(detector, original, cases, unedited=original)
    assert after["edits"].value > 0.85 and before["edits"].value < 0.1
    for kind in EDITS:
        assert after[f"edits_{kind}"].value > before[f"edits_{kind}"].value, kind
    # The rest is the very same picture in both.
    assert before["edit_background"].value == pytest.approx(100, abs=1)
    assert after["edit_background"].value > 40


def test_the_image_of_another_edit_is_rarely_right(cases, detector) -> None:
    shifted = [cases[at - at % EACH + (at + 1) % EACH] for at in range(len(cases))]
    images = torch.stack([case.after for case in shifted])
    before = torch.stack([case.before for case in cases])
    others = measured_edits(detector, images, cases, unedited=before)
    assert others["edits"].value < 0.4 and others["edit_background"].value < 20


def test_an_empty_image_is_no_edit_of_any_kind(cases, detector) -> None:
    there = [case for case in cases if case.others or case.becomes is not None]
    assert len(there) > 0.9 * len(cases)
    found = measured_edits(detector, torch.full((len(there), 3, 64, 64), 0.5), there)
    assert all(found[f"edits_{kind}"].value == 0 for kind in EDITS), found


def test_what_stays_is_measured_against_what_the_tokenizer_makes_of_it(cases, detector) -> None:
    after = torch.stack([case.after for case in cases])
    assert "edit_background" not in measured_edits(detector, after, cases)
    # A tokenizer that darkens everything: an edit on its latents that leaves the rest is no worse.
    darker = torch.stack([case.before for case in cases]) * 0.8
    kept = measured_edits(detector, after * 0.8, cases, unedited=darker)["edit_background"]
    lost = measured_edits(detector, after, cases, unedited=darker)["edit_background"]
    assert kept.value > 40 and lost.value < 30


def test_too_few_scenes_are_a_sentence() -> None:
    with pytest.raises(MuseError, match="too few scenes for 5000 edits a kind"):
        edit_cases(Few("val"), 5000)


class Few(Scenes):
    """A split of three hundred."""

    def __len__(self) -> int:
        return 300
