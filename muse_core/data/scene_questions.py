"""Questions about drawn scenes whose answers are known, of nine kinds, and a scene in words cell by
cell.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from muse_core.data.class_prompts import with_article
from muse_core.data.scenes import (
    COLOURS,
    MIN_VISIBLE_PIXELS,
    RELATIONS,
    TEXTURES,
    SceneParameters,
)
from muse_core.data.shape_templates import SHAPES
from muse_core.shapes import Float, Masks

TURNS = ("tilted left", "upright", "tilted right")
UPRIGHT, TILTED = 0.05, 0.11
"""Radians: turned by less than the first is upright, by more than the second tilted; between them
nobody is asked.
"""
NEAR = 0.03
"""Of the image's side: nobody is asked about places so near to where the answer changes."""
ROUND = ("circle", "ring")
"""Shapes that look the same however they are turned."""
NUMBERS = ("zero", "one", "two", "three")
ROWS, COLUMNS = ("top", "middle", "bottom"), ("left", "middle", "right")
SIZES = ("large", "small")


@dataclass(frozen=True)
class SceneObject:
    """One visible object; ``centre`` (x, y) as shares of the image, ``angle`` in radians, positive
    where it leans to the right.
    """

    number: int
    shape: str
    colour: str
    texture: str
    size: str
    centre: tuple[float, float]
    angle: float

    @property
    def place(self) -> str:
        """The ninth of the image that its centre lies in, "top left" or "middle"."""
        column, row = (min(2, int(3 * each)) for each in self.centre)
        words = dict.fromkeys((ROWS[row], COLUMNS[column]))
        return " ".join(words if len(words) == 1 else (w for w in words if w != "middle"))

    @property
    def turn(self) -> str:
        """One of `TURNS`; "" where it cannot be told."""
        if self.shape in ROUND or UPRIGHT < abs(self.angle) < TILTED:
            return ""
        return TURNS[1] if abs(self.angle) <= UPRIGHT else TURNS[2 if self.angle > 0 else 0]

    @property
    def words(self) -> tuple[str, ...]:
        """All that is to be said of it, but for its place."""
        said = (self.size, self.texture, self.colour, self.shape, *self.turn.split())
        return tuple(said)


@dataclass(frozen=True)
class Question:
    """``choices``: the answers that a question of this form may have."""

    kind: str
    text: str
    answer: str
    choices: tuple[str, ...]


def scene_objects(
    scenes: SceneParameters, visible: Tensor, row: int, size: int
) -> list[SceneObject]:
    """What a scene shows, the most visible object first.

    Args:
        scenes: A batch of them.
        visible: (batch, objects) visible pixels of each.
        row: Which scene.
        size: Pixels along the image's side.
    """
    ranked = visible[row].argsort(descending=True).tolist()
    return [
        SceneObject(
            number=k,
            shape=SHAPES[scenes.shape[row, k]],
            colour=list(COLOURS)[scenes.colour[row, k]],
            texture=TEXTURES[scenes.texture[row, k]],
            size=SIZES[0 if k == 0 else 1],
            centre=tuple((scenes.centre[row, k] / size).clamp(0, 0.999).tolist()),
            angle=scenes.angle[row, k].item(),
        )
        for k in ranked
        if visible[row, k] >= MIN_VISIBLE_PIXELS
    ]


def _alone(objects: Sequence[SceneObject], name: str) -> Iterator[SceneObject]:
    """Objects that no other shares the value of this field with."""
    values = [getattr(each, name) for each in objects]
    yield from (each for each in objects if values.count(getattr(each, name)) == 1)


def _shape(objects: Sequence[SceneObject]) -> Iterator[Question]:
    for one in _alone(objects, "colour"):
        yield Question("shape", f"what shape is the {one.colour} object ?", one.shape, SHAPES)
    for one in _alone(objects, "size"):
        yield Question("shape", f"what shape is the {one.size} object ?", one.shape, SHAPES)


def _colour(objects: Sequence[SceneObject]) -> Iterator[Question]:
    for one in _alone(objects, "shape"):
        yield Question("colour", f"what colour is the {one.shape} ?", one.colour, tuple(COLOURS))


def _texture(objects: Sequence[SceneObject]) -> Iterator[Question]:
    for one in _alone(objects, "shape"):
        yield Question("texture", f"what texture has the {one.shape} ?", one.texture, TEXTURES)


def _count(objects: Sequence[SceneObject]) -> Iterator[Question]:
    yield Question("count", "how many objects are there ?", NUMBERS[len(objects)], NUMBERS[1:])


def _position(objects: Sequence[SceneObject]) -> Iterator[Question]:
    places = tuple(
        " ".join(dict.fromkeys(w for w in (row, column) if w != "middle")) or "middle"
        for row in ROWS
        for column in COLUMNS
    )
    for one in _alone(objects, "shape"):
        if all(abs(3 * each - border) > 3 * NEAR for each in one.centre for border in (1, 2)):
            yield Question("position", f"where is the {one.shape} ?", one.place, places)


def _relation(objects: Sequence[SceneObject]) -> Iterator[Question]:
    for one, other in combinations(list(_alone(objects, "shape")), 2):
        dx, dy = (a - b for a, b in zip(one.centre, other.centre, strict=True))
        if abs(abs(dx) - abs(dy)) < NEAR:
            continue
        side = (
            RELATIONS[0 if dx < 0 else 1] if abs(dx) >= abs(dy) else RELATIONS[2 if dy < 0 else 3]
        )
        text = f"where is the {one.shape} , seen from the {other.shape} ?"
        yield Question("relation", text, side, RELATIONS)


def _size(objects: Sequence[SceneObject]) -> Iterator[Question]:
    for one in _alone(objects, "shape"):
        yield Question("size", f"is the {one.shape} large or small ?", one.size, SIZES)


def _presence(objects: Sequence[SceneObject]) -> Iterator[Question]:
    there = {each.shape for each in objects}
    for shape in SHAPES:
        answer = "yes" if shape in there else "no"
        yield Question("presence", f"is there {with_article(shape)} ?", answer, ("yes", "no"))


def _orientation(objects: Sequence[SceneObject]) -> Iterator[Question]:
    for one in _alone(objects, "shape"):
        if one.turn:
            yield Question("orientation", f"how is the {one.shape} turned ?", one.turn, TURNS)


ASKED: dict[str, Callable[[Sequence[SceneObject]], Iterator[Question]]] = {
    "shape": _shape,
    "colour": _colour,
    "texture": _texture,
    "count": _count,
    "position": _position,
    "relation": _relation,
    "size": _size,
    "presence": _presence,
    "orientation": _orientation,
}
"""Kind -> all the questions of it that a scene answers without doubt."""


def ask(objects: Sequence[SceneObject], kind: str, draw: np.random.Generator) -> Question | None:
    """One question of a kind; None where the scene answers none. Yes and no are drawn alike."""
    found = list(ASKED[kind](objects))
    if kind == "presence":
        answer = ("yes", "no")[draw.integers(2)]
        found = [each for each in found if each.answer == answer]
    return found[draw.integers(len(found))] if found else None


def cell_words(
    objects: Sequence[SceneObject], instances: Masks, grid: int
) -> list[dict[str, float]]:
    """The scene cell by cell, in raster order: word -> share of the cell that what it says covers.

    Args:
        objects: Of one scene.
        instances: Its mask, (1, size, size), k + 1 on object k.
        grid: Cells along a side.
    """
    side = instances.shape[-1] // grid
    found = []
    for cell in instances[0].unfold(0, side, side).unfold(1, side, side).flatten(0, 1):
        shares: dict[str, float] = {}
        for one in objects:
            share = (cell == one.number + 1).float().mean().item()
            for word in one.words if share else ():
                shares[word] = shares.get(word, 0.0) + share
        found.append(shares | {GROUND: (cell == 0).float().mean().item()})
    return found


GROUND = "ground"
"""What is said of where no object is."""
CELL_WORDS = tuple(
    dict.fromkeys(
        word
        for group in (SIZES, TEXTURES, COLOURS, SHAPES, TURNS, (GROUND,))
        for each in group
        for word in each.split()
    )
)
"""Every word that a cell may be told by."""


def word_shares(
    cells: Sequence[dict[str, float]], words: Sequence[str]
) -> Float[Tensor, "cells words"]:
    """`cell_words` as a table over a list of words."""
    at = {word: index for index, word in enumerate(words)}
    table = torch.zeros(len(cells), len(words))
    for row, shares in enumerate(cells):
        for word, share in shares.items():
            table[row, at[word]] = share
    return table
