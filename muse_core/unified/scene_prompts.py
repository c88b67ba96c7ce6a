"""Prompts in the forms of GenEval's six tasks, read off drawn scenes: what is to be drawn there is
there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from muse_core.data.class_prompts import with_article
from muse_core.data.scene_questions import NUMBERS, SceneObject, scene_objects
from muse_core.data.scenes import RELATIONS, Scenes, draw, visible_pixels
from muse_core.errors import MuseError
from muse_core.unified.geneval import DrawingPrompt, Wanted

ANYTHING = "object"
"""Stands for a class that every object is of: captions count objects, not shapes."""
AT_ONCE = 200

Said = tuple[str, tuple[Wanted, ...], tuple[Wanted, ...]]
"""Prompt, what there has to be, what must not be."""


def _single_object(objects: Sequence[SceneObject]) -> Said | None:
    if len(objects) != 1:
        return None
    return with_article(objects[0].shape), (Wanted(objects[0].shape),), ()


def _colors(objects: Sequence[SceneObject]) -> Said | None:
    if len(objects) != 1:
        return None
    (one,) = objects
    return with_article(f"{one.colour} {one.shape}"), (Wanted(one.shape, 1, one.colour),), ()


def _counting(objects: Sequence[SceneObject]) -> Said | None:
    count = len(objects)
    if not 1 < count < len(NUMBERS):
        return None
    wanted, excluded = Wanted(ANYTHING, count), Wanted(ANYTHING, count + 1)
    return f"{NUMBERS[count]} objects", (wanted,), (excluded,)


def _two(objects: Sequence[SceneObject]) -> tuple[SceneObject, SceneObject] | None:
    if len(objects) != 2 or objects[0].shape == objects[1].shape:
        return None
    return objects[0], objects[1]


def _two_object(objects: Sequence[SceneObject]) -> Said | None:
    if (pair := _two(objects)) is None:
        return None
    words = " and ".join(with_article(one.shape) for one in pair)
    return words, tuple(Wanted(one.shape) for one in pair), ()


def _position(objects: Sequence[SceneObject]) -> Said | None:
    if (pair := _two(objects)) is None:
        return None
    one, by = pair
    (dx, dy) = (a - b for a, b in zip(one.centre, by.centre, strict=True))
    across = abs(dx) >= abs(dy)
    place = RELATIONS[(dx >= 0) if across else 2 + (dy >= 0)]
    words = f"{with_article(one.shape)} {place} {with_article(by.shape)}"
    return words, (Wanted(by.shape), Wanted(one.shape, position=(place, 0))), ()


def _color_attr(objects: Sequence[SceneObject]) -> Said | None:
    if (pair := _two(objects)) is None:
        return None
    words = " and ".join(with_article(f"{one.colour} {one.shape}") for one in pair)
    return words, tuple(Wanted(one.shape, 1, one.colour) for one in pair), ()


FORMS: dict[str, Callable[[Sequence[SceneObject]], Said | None]] = {
    "single_object": _single_object,
    "two_object": _two_object,
    "counting": _counting,
    "colors": _colors,
    "position": _position,
    "color_attr": _color_attr,
}
"""GenEval's task -> (a scene's objects, the most visible first) -> what is said; None for a scene
that the form does not fit.
"""


def said_of(objects: Sequence[SceneObject], rng: np.random.Generator) -> str | None:
    """A scene in a form by chance, of those that fit it; None where none does."""
    found = [said for form in FORMS.values() if (said := form(objects)) is not None]
    return found[int(rng.integers(len(found)))][0] if found else None


@dataclass(frozen=True)
class ScenePrompts:
    """``prompts``, and of each the scene that it was read off, by its place in the split."""

    prompts: tuple[DrawingPrompt, ...]
    scenes: tuple[int, ...]


def scene_prompts(source: Scenes, each: int) -> ScenePrompts:
    """As many prompts of every task, read off the first scenes that fit.

    Args:
        source: A split.
        each: Prompts a task.

    Raises:
        MuseError: The split has too few scenes that fit.
    """
    found: dict[str, list[tuple[Said, int]]] = {task: [] for task in FORMS}
    starts = range(0, len(source), AT_ONCE)
    for start in tqdm(starts, "prompts", disable=None, mininterval=2):
        indices = list(range(start, min(start + AT_ONCE, len(source))))
        scenes = source.parameters(indices)
        visible = visible_pixels(draw(scenes, source.image_size)[1])
        for row, index in enumerate(indices):
            objects = scene_objects(scenes, visible, row, source.image_size)
            for task, form in FORMS.items():
                if len(found[task]) < each and (said := form(objects)) is not None:
                    found[task].append((said, index))
        if all(len(list_) == each for list_ in found.values()):
            break
    else:
        raise MuseError(f"{source.fingerprint} has too few scenes for {each} prompts a task.")
    rows = [(task, *one) for task, many in found.items() for one in many]
    prompts = tuple(
        DrawingPrompt(at, task, words, include, exclude)
        for at, (task, (words, include, exclude), _) in enumerate(rows)
    )
    return ScenePrompts(prompts, tuple(index for _, _, index in rows))
