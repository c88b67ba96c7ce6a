"""Questions whose answers are true of the scene, of every kind; words that cover the cells they
name.
"""

import numpy as np
import pytest
import torch

from muse_core.data.scene_facts import FACTS
from muse_core.data.scene_questions import (
    ASKED,
    GROUND,
    TURNS,
    SceneObject,
    ask,
    cell_words,
    scene_objects,
    word_shares,
)
from muse_core.data.scenes import COLOURS, RELATIONS, Scenes, draw, visible_pixels
from muse_core.data.shape_templates import SHAPES

SCENES = 300


@pytest.fixture(scope="module")
def told():
    source = Scenes("val", 64)
    scenes = source.parameters(list(range(SCENES)))
    _, instances = draw(scenes, 64)
    visible = visible_pixels(instances)
    return [scene_objects(scenes, visible, row, 64) for row in range(SCENES)], instances


def thing(shape: str, **fields) -> SceneObject:
    plain = dict(colour="red", texture="plain", size="small", centre=(0.5, 0.5), angle=0.0)
    return SceneObject(number=0, shape=shape, **plain | fields)


@pytest.mark.parametrize("kind", ASKED)
def test_every_kind_is_asked_and_answered_among_its_choices(told, kind: str) -> None:
    draw_one = np.random.default_rng(0)
    found = [question for objects in told[0] if (question := ask(objects, kind, draw_one))]
    assert len(found) > 100 and all(each.kind == kind for each in found)
    assert all(each.answer in each.choices for each in found)
    assert len({each.answer for each in found}) == len(found[0].choices)
    assert all(len(set(each.choices)) == len(each.choices) for each in found)


def test_yes_and_no_are_drawn_alike(told) -> None:
    draw_one = np.random.default_rng(0)
    found = [ask(objects, "presence", draw_one) for objects in told[0]]
    yes = sum(each.answer == "yes" for each in found)
    assert abs(yes - SCENES / 2) < 4 * (SCENES / 4) ** 0.5
    for objects, question in zip(told[0], found, strict=True):
        shape = question.text.split()[3]
        assert (shape in {each.shape for each in objects}) == (question.answer == "yes")


def test_answers_are_true_of_objects_that_are_given() -> None:
    star = thing("star", colour="blue", centre=(0.2, 0.9), size="large", angle=0.2)
    ring = thing("ring", texture="striped", centre=(0.5, 0.1))
    draw_one = np.random.default_rng(0)
    asked = {
        (question.kind, question.text): question.answer
        for kind in ASKED
        for _ in range(60)
        if (question := ask([star, ring], kind, draw_one))
    }
    assert asked["shape", "what shape is the blue object ?"] == "star"
    assert asked["shape", "what shape is the small object ?"] == "ring"
    assert asked["colour", "what colour is the star ?"] == "blue"
    assert asked["texture", "what texture has the ring ?"] == "striped"
    assert asked["count", "how many objects are there ?"] == "two"
    assert asked["position", "where is the star ?"] == "bottom left"
    assert asked["position", "where is the ring ?"] == "top"
    assert asked["relation", "where is the star , seen from the ring ?"] == "below"
    assert asked["size", "is the star large or small ?"] == "large"
    assert asked["presence", "is there a star ?"] == "yes"
    assert asked["orientation", "how is the star turned ?"] == "tilted right"
    assert ("orientation", "how is the ring turned ?") not in asked, "it looks the same"


def test_two_of_a_shape_are_not_told_apart_by_it() -> None:
    pair = [thing("star", colour="red"), thing("star", colour="blue")]
    draw_one = np.random.default_rng(0)
    kinds = ("colour", "texture", "position", "relation", "size", "orientation")
    assert not any(ask(pair, kind, draw_one) for kind in kinds)
    assert ask(pair, "shape", draw_one).text.split()[4] in COLOURS


@pytest.mark.parametrize(
    ("angle", "turn"), [(0.2, "tilted right"), (-0.2, "tilted left"), (0.0, "upright"), (0.08, "")]
)
def test_a_turn_is_what_the_picture_shows(angle: float, turn: str) -> None:
    """The tip of an upright triangle leans to the side that is said."""
    assert thing("triangle", angle=angle).turn == turn and turn in ("", *TURNS)
    source = Scenes("val", 64)
    scenes = source.parameters([0])
    one = torch.zeros_like(scenes.shape)
    changed = dict(
        shape=one + SHAPES.index("triangle"),
        present=torch.tensor([[True, False, False]]),
        centre=torch.full_like(scenes.centre, 32.0),
        angle=torch.full_like(scenes.angle, angle),
    )
    for name, value in changed.items():
        object.__setattr__(scenes, name, value)
    _, instances = draw(scenes, 64)
    rows, columns = (instances[0] == 1).nonzero(as_tuple=True)
    tip = columns[rows == rows.min()].float().mean() + 0.5 - 32
    assert (tip > 1.5) == (turn == "tilted right") and (tip < -1.5) == (turn == "tilted left")


def test_cells_are_told_by_the_words_of_what_covers_them(told) -> None:
    objects, instances = told[0][0], told[1][:1]
    cells = cell_words(objects, instances, 4)
    assert len(cells) == 16
    for at, shares in enumerate(cells):
        row, column = divmod(at, 4)
        part = instances[0, 16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
        for one in objects:
            share = (part == one.number + 1).float().mean().item()
            alone = [each for each in objects if each.shape == one.shape]
            if len(alone) == 1:
                assert shares.get(one.shape, 0.0) == pytest.approx(share)
        assert shares[GROUND] == pytest.approx((part == 0).float().mean().item())
    known = sorted({word for shares in cells for word in shares})
    table = word_shares(cells, known)
    assert table.shape == (16, len(known)) and table[3, known.index(GROUND)] == cells[3][GROUND]


def test_facts_name_what_scenes_are_made_of_and_are_said_once() -> None:
    questions = [question for question, _ in FACTS]
    assert len(set(questions)) == len(questions) > 20
    numbers = {"three", "four", "five"}
    assert {answer for _, answer in FACTS} <= {*SHAPES, *COLOURS, *numbers}
    assert not any(relation in question for question in questions for relation in RELATIONS)
