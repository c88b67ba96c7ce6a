"""GenEval and WISE on drawn scenes: a detector says whether an image holds what was asked for."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from muse_core.data.scene_claims import SceneClaims, scene_claims
from muse_core.data.scene_questions import scene_objects
from muse_core.data.scenes import Scenes, draw, visible_pixels
from muse_core.errors import MuseError
from muse_core.evaluation.generation.prompt_following import detected, follows
from muse_core.evaluation.intervals import mean_interval
from muse_core.foundations.scene_detector import Detected, SceneDetector
from muse_core.results.measurements import Measurement
from muse_core.shapes import Images
from muse_core.unified.geneval import TASKS, DrawingPrompt, Seen, drawn_right
from muse_core.unified.scene_prompts import ANYTHING
from muse_core.unified.wise import KnowledgePrompt

Asked = TypeVar("Asked")


def geneval_hits(
    detector: SceneDetector, images: Images, prompts: Sequence[DrawingPrompt]
) -> list[bool]:
    """Whether each image is right by GenEval's own rule."""
    return [
        _drawn(prompt, found)
        for prompt, found in zip(prompts, detected(detector, images), strict=True)
    ]


def measured_geneval(
    detector: SceneDetector,
    images: Images,
    prompts: Sequence[DrawingPrompt],
    seed: int = 0,
) -> dict[str, Measurement]:
    """Share of the images that are right by GenEval's own rule, of each task and of all; prompts
    are as many a task, so that the share of all is the mean over tasks. The detector gives centres
    and no boxes: positions are judged by centres.

    Args:
        detector: The judge.
        images: One a prompt, in [0, 1].
        prompts: Of drawn scenes.
        seed: Of the bootstrap over images.
    """
    hits = geneval_hits(detector, images, prompts)
    by_task = {
        task: [hit for hit, prompt in zip(hits, prompts, strict=True) if prompt.task == task]
        for task in TASKS
    }
    words = "share of images that are right by GenEval's rule, positions by centres; by a detector"
    found = {f"geneval_{task}": share(of, words, seed) for task, of in by_task.items() if of}
    return {"geneval": share(hits, words, seed)} | found


def _seen(found: Sequence[Detected], prompt: DrawingPrompt) -> list[Seen]:
    """As the rule takes it; where objects are counted, each is just one of them."""
    named = [Seen(each.shape, each.colour, each.x, each.y) for each in found]
    counted = any(wanted.name == ANYTHING for wanted in prompt.include)
    return [replace(each, name=ANYTHING) for each in named] if counted else named


def _drawn(prompt: DrawingPrompt, found: Sequence[Detected]) -> bool:
    return drawn_right(prompt, _seen(found, prompt))


def riddle_hits(
    detector: SceneDetector, images: Images, prompts: Sequence[KnowledgePrompt]
) -> list[bool]:
    """Whether each image shows what its riddle means."""
    return [
        _means(scene_claims(prompt.explanation), found)
        for prompt, found in zip(prompts, detected(detector, images), strict=True)
    ]


def _means(claims: SceneClaims, found: Sequence[Detected]) -> bool:
    judged = follows(replace(claims, relation=None), found)
    return bool(judged.shape and judged.colour is not False)


def measured_riddles(
    detector: SceneDetector, images: Images, prompts: Sequence[KnowledgePrompt], seed: int = 0
) -> dict[str, Measurement]:
    """Share of the images that show what their riddle means: its shape, and its colour where that
    is what only the fact tells.
    """
    hits = riddle_hits(detector, images, prompts)
    return {"wise": share(hits, "share of images that show what the riddle means", seed)}


OF_OTHERS = "share of the images for other prompts that are right for a prompt"


def geneval_by_chance(
    detector: SceneDetector, images: Images, prompts: Sequence[DrawingPrompt], seed: int = 0
) -> dict[str, Measurement]:
    """What the share would be if no prompt were read: of each, the share of the images drawn for
    the *others* that are right for it.

    Noise has a share too, as a detector sees objects in it; this one.

    Args:
        detector: The judge.
        images: One a prompt, in [0, 1].
        prompts: Of drawn scenes.
        seed: Of the bootstrap over prompts.
    """
    said, found = [prompt.prompt for prompt in prompts], detected(detector, images)
    right = _of_others(_drawn, prompts, found, said)
    return {"geneval_chance": share(right, OF_OTHERS, seed)}


def riddles_by_chance(
    detector: SceneDetector, images: Images, prompts: Sequence[KnowledgePrompt], seed: int = 0
) -> dict[str, Measurement]:
    """As `geneval_by_chance`; the other riddles are those that mean something else."""
    said, found = [prompt.explanation for prompt in prompts], detected(detector, images)
    right = _of_others(_means, [scene_claims(each) for each in said], found, said)
    return {"wise_chance": share(right, OF_OTHERS, seed)}


def _of_others(
    right: Callable[[Asked, Sequence[Detected]], bool],
    asked: Sequence[Asked],
    found: Sequence[Sequence[Detected]],
    texts: Sequence[str],
) -> list[float]:
    """Of each prompt, the share of right images among those of prompts in other words."""
    pairs = list(zip(texts, found, strict=True))
    return [
        float(np.mean([right(one, seen) for text, seen in pairs if text != own]))
        for one, own in zip(asked, texts, strict=True)
    ]


def scenes_of(prompts: Sequence[KnowledgePrompt], source: Scenes, searched: int = 2000) -> Images:
    """Of each riddle a drawn scene that shows what it means and nothing else.

    Args:
        prompts: Riddles of drawn scenes.
        source: A split.
        searched: How many of its scenes are looked through.

    Raises:
        MuseError: None of them shows what a riddle means.
    """
    indices = list(range(min(searched, len(source))))
    scenes = source.parameters(indices)
    images, instances = draw(scenes, source.image_size)
    visible, alone = visible_pixels(instances), {}
    for row in indices:
        objects = scene_objects(scenes, visible, row, source.image_size)
        if len(objects) == 1:
            alone.setdefault((objects[0].shape, objects[0].colour), row)
            alone.setdefault((objects[0].shape, None), row)
    chosen = []
    for prompt in prompts:
        (claim,) = scene_claims(prompt.explanation).objects
        if (claim.shape, claim.colour) not in alone:
            raise MuseError(f"No scene of {source.fingerprint} shows {prompt.explanation} alone.")
        chosen.append(alone[claim.shape, claim.colour])
    return images[chosen]


def share(hits: Sequence[bool] | Sequence[float], words: str, seed: int) -> Measurement:
    """Of what is right, with its interval."""
    held = np.array(hits, dtype=np.float64)
    ends = mean_interval(held, seed) or (None, None)
    return Measurement(float(held.mean()), len(held), words, *ends)
