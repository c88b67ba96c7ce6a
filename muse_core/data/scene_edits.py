"""One change to a drawn scene and its instruction in words: seven kinds, each with the scene before
and after.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from muse_core.data.class_prompts import with_article
from muse_core.data.scene_questions import SceneObject, scene_objects
from muse_core.data.scenes import (
    COLOURS,
    OBJECTS,
    TEXTURES,
    SceneParameters,
    draw,
    visible_pixels,
)
from muse_core.data.shape_templates import SHAPES

FAR = 0.15
"""Of the image's side: an object is moved at least twice as far."""


@dataclass(frozen=True)
class SceneEdit:
    """``before`` and ``after`` are batches of one scene; ``number``: the slot of the object that
    changes, -1 for the background.
    """

    kind: str
    instruction: str
    before: SceneParameters
    after: SceneParameters
    number: int


def scene_row(scenes: SceneParameters, row: int) -> SceneParameters:
    """One scene of a batch, as a batch."""
    return replace(scenes, **{name: each[row : row + 1] for name, each in vars(scenes).items()})


def _set(scene: SceneParameters, field: str, number: int, value: object) -> SceneParameters:
    changed = getattr(scene, field).clone()
    changed[0, number] = torch.as_tensor(value, dtype=changed.dtype)
    return replace(scene, **{field: changed})


def _other(now: str, known: tuple[str, ...], rng: np.random.Generator, taken: set[str]) -> str:
    return str(rng.choice([each for each in known if each != now and each not in taken]))


def _recolour(
    scene: SceneParameters, one: SceneObject, shapes: set[str], size: int, rng: np.random.Generator
) -> tuple[str, SceneParameters] | None:
    colour = _other(one.colour, tuple(COLOURS), rng, set())
    after = _set(scene, "colour", one.number, list(COLOURS).index(colour))
    return f"make the {one.shape} {colour}", after


def _retexture(
    scene: SceneParameters, one: SceneObject, shapes: set[str], size: int, rng: np.random.Generator
) -> tuple[str, SceneParameters] | None:
    texture = _other(one.texture, TEXTURES, rng, set())
    after = _set(scene, "texture", one.number, TEXTURES.index(texture))
    return f"make the {one.shape} {texture}", after


def _replace(
    scene: SceneParameters, one: SceneObject, shapes: set[str], size: int, rng: np.random.Generator
) -> tuple[str, SceneParameters] | None:
    shape = _other(one.shape, SHAPES, rng, shapes)
    after = _set(scene, "shape", one.number, SHAPES.index(shape))
    return f"turn the {one.shape} into {with_article(shape)}", after


def _add(
    scene: SceneParameters, one: SceneObject, shapes: set[str], size: int, rng: np.random.Generator
) -> tuple[str, SceneParameters] | None:
    slot = int(scene.present.sum())
    if slot >= OBJECTS:
        return None
    shape = _other("", SHAPES, rng, shapes)
    colour = list(COLOURS)[int(scene.colour[0, slot])]
    after = _set(_set(scene, "shape", slot, SHAPES.index(shape)), "present", slot, True)
    return f"add {with_article(f'{colour} {shape}')}", after


def _remove(
    scene: SceneParameters, one: SceneObject, shapes: set[str], size: int, rng: np.random.Generator
) -> tuple[str, SceneParameters] | None:
    if int(scene.present.sum()) < 2:
        return None
    return f"remove the {one.shape}", _set(scene, "present", one.number, False)


def _move(
    scene: SceneParameters, one: SceneObject, shapes: set[str], size: int, rng: np.random.Generator
) -> tuple[str, SceneParameters] | None:
    ways = [axis for axis in range(2) if abs(one.centre[axis] - 0.5) >= FAR]
    if not ways:
        return None
    axis = int(rng.choice(ways))
    centre = scene.centre[0, one.number].clone()
    centre[axis] = size - centre[axis]
    side = (("right", "left"), ("bottom", "top"))[axis][int(one.centre[axis] > 0.5)]
    return f"move the {one.shape} to the {side}", _set(scene, "centre", one.number, centre)


def _background(
    scene: SceneParameters, one: SceneObject, shapes: set[str], size: int, rng: np.random.Generator
) -> tuple[str, SceneParameters] | None:
    ground = scene.background.clone()
    dark = bool(ground[0, 0] < 0.5)
    ground[0, 0] = 1 - ground[0, 0]
    word = "light" if dark else "dark"
    return f"make the background {word}", replace(scene, background=ground)


Change = Callable[
    [SceneParameters, SceneObject, set[str], int, np.random.Generator],
    tuple[str, SceneParameters] | None,
]
EDITS: dict[str, Change] = {
    "recolour": _recolour,
    "retexture": _retexture,
    "replace": _replace,
    "add": _add,
    "remove": _remove,
    "move": _move,
    "background": _background,
}
"""Kind -> (a scene, the object that is named, shapes that are there, pixels along a side, random
numbers) -> instruction and the scene after it; None where the scene does not allow it.
"""


def scene_edit(
    scenes: SceneParameters,
    visible: Tensor,
    row: int,
    size: int,
    kind: str,
    rng: np.random.Generator,
) -> SceneEdit | None:
    """One edit of one scene; None where it allows none of this kind that can be seen.

    Args:
        scenes: A batch.
        visible: (batch, objects) visible pixels.
        row: Which scene.
        size: Pixels along a side.
        kind: A name of `EDITS`.
        rng: Chooses the object and what becomes of it.
    """
    objects = scene_objects(scenes, visible, row, size)
    shapes = [each.shape for each in objects]
    named = [each for each in objects if shapes.count(each.shape) == 1]
    if not named or len(objects) != int(scenes.present[row].sum()):
        return None
    before, one = scene_row(scenes, row), named[int(rng.integers(len(named)))]
    found = EDITS[kind](before, one, set(shapes), size, rng)
    if found is None:
        return None
    instruction, after = found
    seen = scene_objects(after, visible_pixels(draw(after, size)[1]), 0, size)
    # An object that another hides was changed in vain.
    if len(seen) != int(after.present.sum()):
        return None
    number = {"background": -1, "add": int(before.present.sum())}.get(kind, one.number)
    return SceneEdit(kind, instruction, before, after, number)
