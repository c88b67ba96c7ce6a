"""Prompts read off scenes: their own scenes follow them, others rarely; riddles likewise."""

import pytest
import torch

from muse_core import paths
from muse_core.data.scenes import Scenes
from muse_core.errors import MuseError
from muse_core.evaluation.generation.prompts_drawn import (
    geneval_by_chance,
    measured_geneval,
    measured_riddles,
    riddles_by_chance,
    scenes_of,
)
from muse_core.foundations.scene_detector import load_scene_detector
from muse_core.results.measurements import DRAWN_TASKS, METRICS, OF_TASKS
from muse_core.unified.geneval import TASKS
from muse_core.unified.scene_prompts import FORMS, scene_prompts
from muse_core.unified.wise import scene_riddles

EACH = 10


@pytest.fixture(scope="module")
def detector():
    return load_scene_detector(paths.checkout() / "data/foundations/tiny/scene_detector")


def test_a_scene_follows_the_prompt_that_was_read_off_it(detector) -> None:
    source = Scenes("val")
    found = scene_prompts(source, EACH)
    images = source.__getitems__(list(found.scenes)).images
    own = measured_geneval(detector, images, found.prompts)
    other = measured_geneval(detector, images.roll(1, 0), found.prompts)
    assert own["geneval"].value > 0.85 and other["geneval"].value < 0.45
    assert own["geneval"].n == EACH * len(TASKS)
    for task in ("single_object", "colors", "color_attr", "two_object"):
        assert own[f"geneval_{task}"].value > 0.7 > other[f"geneval_{task}"].value, task


def test_the_tasks_are_geneval_s_in_words_of_the_captions() -> None:
    found = scene_prompts(Scenes("val"), 2)
    assert tuple(FORMS) == TASKS == DRAWN_TASKS and set(OF_TASKS) <= set(METRICS)
    assert [prompt.task for prompt in found.prompts] == [task for task in TASKS for _ in range(2)]
    position = next(prompt for prompt in found.prompts if prompt.task == "position")
    by, one = position.include
    assert one.position is not None and one.position[1] == 0
    assert (
        position.prompt.endswith(by.name) and one.name in position.prompt.split(one.position[0])[0]
    )
    counting = next(prompt for prompt in found.prompts if prompt.task == "counting")
    assert counting.prompt.split()[0] in ("two", "three")
    assert counting.exclude[0].count == counting.include[0].count + 1


def test_riddles_are_judged_by_what_they_mean(detector) -> None:
    prompts = scene_riddles(24)
    images = scenes_of(prompts, Scenes("val"))
    assert measured_riddles(detector, images, prompts)["wise"].value > 0.85
    assert measured_riddles(detector, images.roll(1, 0), prompts)["wise"].value < 0.3


def test_chance_is_what_the_same_images_are_for_other_prompts(detector) -> None:
    source, riddles = Scenes("val"), scene_riddles(24)
    found = scene_prompts(source, EACH)
    images = source.__getitems__(list(found.scenes)).images
    answers = scenes_of(riddles, source)
    chance = geneval_by_chance(detector, images, found.prompts)["geneval_chance"]
    assert 0 < chance.value < 0.25 and chance.n == EACH * len(TASKS)
    chance = riddles_by_chance(detector, answers, riddles)["wise_chance"]
    assert chance.value < 0.2 and chance.n == 24
    # What a detector sees in noise is no more often right than by chance.
    noise = torch.rand(answers.shape, generator=torch.Generator().manual_seed(0))
    seen = measured_riddles(detector, noise, riddles)["wise"]
    chance = riddles_by_chance(detector, noise, riddles)["wise_chance"]
    assert chance.value > 0.05 and seen.low <= chance.value <= seen.high


def test_prompts_in_the_same_words_are_no_chance(detector) -> None:
    source = Scenes("val")
    found = scene_prompts(source, EACH)
    counting = [prompt for prompt in found.prompts if prompt.prompt == "two objects"][:2]
    one = next(prompt for prompt in found.prompts if prompt.task == "single_object")
    two = source.__getitems__([found.scenes[found.prompts.index(counting[0])]]).images
    blank = torch.full_like(two, 0.5)
    prompts, images = [*counting, one], torch.cat([two, two, blank])
    chance = geneval_by_chance(detector, images, prompts)["geneval_chance"]
    # Of "two objects" the blank alone is an image for other words; it shows none.
    assert chance.value == 0


def test_too_few_scenes_are_sentences() -> None:
    with pytest.raises(MuseError, match="too few scenes for 5000 prompts"):
        scene_prompts(Few("val"), 5000)
    with pytest.raises(MuseError, match="No scene of"):
        scenes_of(scene_riddles(24), Scenes("val"), searched=2)


class Few(Scenes):
    """A split of three hundred."""

    def __len__(self) -> int:
        return 300
