"""An edit changes what its instruction names, and nothing else."""

import numpy as np
import pytest
import torch

from muse_core.data.scene_edits import EDITS, SceneEdit, scene_edit
from muse_core.data.scene_facts import FACTS, riddles
from muse_core.data.scene_questions import scene_objects
from muse_core.data.scenes import COLOURS, TEXTURES, Scenes, draw, visible_pixels
from muse_core.data.shape_templates import SHAPES

SIZE = 64


def edits(kind: str, count: int = 60, seed: int = 0) -> list[SceneEdit]:
    scenes, rng = Scenes("val").parameters(list(range(count))), np.random.default_rng(seed)
    visible = visible_pixels(draw(scenes, SIZE)[1])
    found = (scene_edit(scenes, visible, row, SIZE, kind, rng) for row in range(count))
    return [each for each in found if each is not None]


def shown(scene) -> dict[int, object]:
    visible = visible_pixels(draw(scene, SIZE)[1])
    return {each.number: each for each in scene_objects(scene, visible, 0, SIZE)}


@pytest.mark.parametrize("kind", EDITS)
def test_one_slot_changes_and_the_words_say_how(kind: str) -> None:
    found = edits(kind)
    assert len(found) > 15
    for edit in found:
        before, after = shown(edit.before), shown(edit.after)
        same = (before.keys() & after.keys()) - {edit.number}
        assert all(before[k] == after[k] for k in same)
        words = edit.instruction.split()
        own = after.get(edit.number)
        if kind == "recolour":
            assert own.colour == words[-1] in COLOURS and words[2] == own.shape
        if kind == "retexture":
            assert own.texture == words[-1] in TEXTURES and words[2] == own.shape
        if kind == "replace":
            assert own.shape == words[-1] in SHAPES and words[2] == before[edit.number].shape
        if kind == "add":
            assert edit.number not in before and (own.colour, own.shape) == tuple(words[-2:])
        if kind == "remove":
            assert own is None and words[-1] == before[edit.number].shape
        if kind == "move":
            axis = 0 if words[-1] in ("left", "right") else 1
            moved = own.centre[axis] - before[edit.number].centre[axis]
            assert abs(moved) > 0.2 and (moved > 0) == (words[-1] in ("right", "bottom"))
        if kind == "background":
            light = [draw(each, SIZE)[0].mean().item() for each in (edit.before, edit.after)]
            assert (light[1] > light[0]) == (words[-1] == "light")


def test_pixels_that_the_object_does_not_touch_stay() -> None:
    for edit in edits("recolour"):
        (one, first), (other, second) = draw(edit.before, SIZE), draw(edit.after, SIZE)
        away = (first != edit.number + 1) & (second != edit.number + 1)
        # Outlines are smooth: half a pixel of the object's paint lies outside its mask.
        moved = (one - other).abs().amax(1)[away]
        assert (moved > 0.02).float().mean() < 0.06


def test_the_object_that_is_named_is_the_only_one_of_its_shape() -> None:
    for kind in ("recolour", "remove", "move", "replace"):
        for edit in edits(kind):
            named = [shape for shape in SHAPES if f"the {shape}" in edit.instruction]
            shapes = [each.shape for each in shown(edit.before).values()]
            assert len(named) == 1 and shapes.count(named[0]) == 1


def test_the_same_edits_by_seed() -> None:
    said = [[each.instruction for each in edits("replace", seed=seed)] for seed in (0, 0, 1)]
    assert said[0] == said[1] != said[2]


def test_a_scene_that_allows_none_has_none() -> None:
    alone = Scenes("val").parameters(list(range(60)))
    single = torch.where(alone.present.sum(1) == 1)[0]
    visible = visible_pixels(draw(alone, SIZE)[1])
    rng = np.random.default_rng(0)
    assert len(single) > 5
    assert all(scene_edit(alone, visible, int(r), SIZE, "remove", rng) is None for r in single)


def test_a_riddle_names_neither_shape_nor_colour_that_it_stands_for() -> None:
    found = riddles()
    assert len(found) == sum(not question.startswith("how many") for question, _ in FACTS)
    for one in found:
        assert one.answer in (SHAPES if one.kind == "shape" else tuple(COLOURS))
        assert one.answer not in one.words.split() and "?" not in one.words
