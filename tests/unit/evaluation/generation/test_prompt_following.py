"""The judge of prompts: hand-made detections first, then real scenes with their own and with
others' captions.
"""

import pytest
import torch

from muse_core.data.scene_claims import scene_claims
from muse_core.data.scenes import Scenes
from muse_core.errors import MuseError
from muse_core.evaluation.generation.prompt_following import (
    follows,
    prompt_following,
)
from muse_core.foundations.scene_detector import Detected, load_scene_detector
from muse_core.paths import foundations


def seen(*objects: tuple[str, str, float, float]) -> list[Detected]:
    return [Detected(shape, colour, x, y, 0.9) for colour, shape, x, y in objects]


CLAIM = scene_claims("a red star left of a circle and a green heart")
RIGHT = [("red", "star", 0.2, 0.5), ("blue", "circle", 0.6, 0.5), ("green", "heart", 0.8, 0.9)]


def judged(*objects) -> tuple:
    found = follows(CLAIM, seen(*objects))
    return found.shape, found.colour, found.count, found.relation, found.all


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        (RIGHT, (True, True, True, True, True)),
        (RIGHT[::-1], (True, True, True, True, True)),
        ([("blue", "star", 0.2, 0.5), *RIGHT[1:]], (True, False, True, False, False)),
        ([*RIGHT, ("pink", "ring", 0.5, 0.1)], (True, True, False, True, False)),
        ([("red", "star", 0.9, 0.5), *RIGHT[1:]], (True, True, True, False, False)),
        (RIGHT[:2], (False, False, False, False, False)),
        ([], (False, False, False, False, False)),
    ],
    ids=[
        "right",
        "in another order",
        "wrong colour",
        "one too many",
        "mirrored",
        "one missing",
        "empty",
    ],
)
def test_each_mistake_is_seen_in_its_own_category(objects, expected) -> None:
    assert judged(*objects) == expected


def test_two_claims_of_one_shape_need_two_objects_and_the_coloured_one_goes_to_its_claim() -> None:
    claims = scene_claims("a star above a red star")
    both = follows(claims, seen(("red", "star", 0.5, 0.9), ("blue", "star", 0.5, 0.2)))
    assert both.all and not follows(claims, seen(("red", "star", 0.5, 0.9))).shape


def test_prompts_that_name_no_colour_are_not_judged_for_it() -> None:
    found = follows(scene_claims("a star"), seen(("red", "star", 0.5, 0.5)))
    assert found.colour is None and found.relation is None and found.all


def test_on_real_scenes_the_judge_agrees_with_the_captions_and_not_with_those_of_others() -> None:
    detector = load_scene_detector(foundations("tiny") / "scene_detector")
    batch = Scenes("val").described().first(300)
    own = prompt_following(detector, batch.images, batch.captions)
    others = prompt_following(detector, batch.images.roll(1, 0), batch.captions)
    for category, least in {
        "shape": 0.9,
        "colour": 0.9,
        "count": 0.9,
        "relation": 0.78,
        "all": 0.88,
    }.items():
        assert (
            own[category].value > least
            and own[category].low <= own[category].value <= own[category].high
        ), category
    assert others["all"].value < 0.05 and others["shape"].value < 0.15
    assert own["relation"].n < own["count"].n == 300


def test_an_image_of_no_numbers_is_a_sentence() -> None:
    detector = load_scene_detector(foundations("tiny") / "scene_detector")
    batch = Scenes("val").described().first(2)
    batch.images[1, 0, 3, 3] = float("nan")
    with pytest.raises(MuseError, match="Image 2 of 2 holds values that are no numbers"):
        prompt_following(detector, batch.images, batch.captions)


def test_the_judge_comes_back_from_a_folder(tmp_path) -> None:
    detector = load_scene_detector(foundations("tiny") / "scene_detector")
    detector.save_pretrained(tmp_path)
    images = Scenes("val").first(4).images
    assert load_scene_detector(tmp_path).detect(images) == detector.detect(images)
    assert torch.isfinite(detector(images).centre).all()
