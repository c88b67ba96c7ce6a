"""Pairs of drawn scenes made as MMVP's were: one thing differs, a text-aligned embedding takes them
for the same, and the topology teacher does not.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from muse_core.data.scene_questions import ASKED, TILTED, Question, scene_objects
from muse_core.data.scenes import (
    COLOURS,
    OBJECTS,
    TEXTURES,
    SceneParameters,
    Scenes,
    draw,
    visible_pixels,
)
from muse_core.data.shape_templates import SHAPES
from muse_core.errors import MuseError
from muse_core.shapes import Embeddings, Float, Images
from muse_core.unified.mmvp import Item

CANDIDATES = 300
"""Scenes that are changed, for each pattern."""
SHORTLIST = 4
"""The teacher looks at so many times the pairs that are asked for."""

Change = Callable[[SceneParameters, int, np.random.Generator], SceneParameters]
"""Scenes, pixels along a side, random numbers -> the scenes with one thing changed."""


def _another(values: Tensor, count: int, rng: np.random.Generator) -> Tensor:
    """Of the large object, another one of so many."""
    changed = values.clone()
    steps = torch.from_numpy(rng.integers(1, count, size=len(values)))
    changed[:, 0] = (changed[:, 0] + steps) % count
    return changed


def _shape(scenes: SceneParameters, side: int, rng: np.random.Generator) -> SceneParameters:
    return replace(scenes, shape=_another(scenes.shape, len(SHAPES), rng))


def _colour(scenes: SceneParameters, side: int, rng: np.random.Generator) -> SceneParameters:
    return replace(scenes, colour=_another(scenes.colour, len(COLOURS), rng))


def _texture(scenes: SceneParameters, side: int, rng: np.random.Generator) -> SceneParameters:
    return replace(scenes, texture=_another(scenes.texture, len(TEXTURES), rng))


def _count(scenes: SceneParameters, side: int, rng: np.random.Generator) -> SceneParameters:
    """One object more; of three, one less."""
    there = scenes.present.sum(1)
    wanted = torch.where(there < OBJECTS, there + 1, there - 1)
    return replace(scenes, present=torch.arange(OBJECTS) < wanted[:, None])


def _position(scenes: SceneParameters, side: int, rng: np.random.Generator) -> SceneParameters:
    """All of it moved to the other side."""
    centre = scenes.centre.clone()
    centre[..., 0] = side - centre[..., 0]
    return replace(scenes, centre=centre)


def _relation(scenes: SceneParameters, side: int, rng: np.random.Generator) -> SceneParameters:
    """The first two objects change places, as they are."""
    return replace(scenes, centre=_swapped(scenes.centre))


def _size(scenes: SceneParameters, side: int, rng: np.random.Generator) -> SceneParameters:
    """The first two objects change shape, colour and texture: the large one is the other."""
    names = ("shape", "colour", "texture")
    return replace(scenes, **{name: _swapped(getattr(scenes, name)) for name in names})


def _orientation(scenes: SceneParameters, side: int, rng: np.random.Generator) -> SceneParameters:
    """Leaning to the other side, and clearly."""
    leaning = scenes.angle.abs().clamp(min=TILTED + 0.02)
    return replace(scenes, angle=torch.where(scenes.angle < 0, leaning, -leaning))


def _swapped(values: Tensor) -> Tensor:
    order = [1, 0, *range(2, values.shape[1])]
    return values[:, order]


PATTERNS: dict[str, Change] = {
    "shape": _shape,
    "colour": _colour,
    "texture": _texture,
    "count": _count,
    "position": _position,
    "relation": _relation,
    "size": _size,
    "presence": _shape,
    "orientation": _orientation,
}
"""What differs between the images of a pair -> how a scene is changed."""
assert tuple(PATTERNS) == tuple(ASKED)


@dataclass(frozen=True)
class BlindPair:
    """Two scenes, one question with two answers, and how alike the images are to the embedding
    (``alike``) and to the teacher (``seen``): cosines.
    """

    pattern: str
    scenes: SceneParameters
    images: Float[Tensor, "2 3 height width"]
    question: str
    answers: tuple[str, str]
    alike: float
    seen: float = float("nan")

    def items(self, first: int) -> tuple[Item, Item]:
        """As MMVP asks them, from this index on."""
        words = (self.question, self.answers)
        kept = (Item(first + at, Path(), *words, at, self.pattern) for at in range(2))
        one, other = kept
        return one, other

    def pictures(self) -> list[Image.Image]:
        """Both images."""
        pixels = (self.images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
        return [Image.fromarray(each) for each in pixels]


def blind_pairs(
    embed: Callable[[Images], Embeddings],
    teacher: Callable[[Images], Tensor],
    source: Scenes,
    each: int,
    seed: int = 0,
) -> list[BlindPair]:
    """Of the pairs that the embedding tells apart least, those that the teacher tells apart most,
    so many a pattern.

    Args:
        embed: Images -> text-aligned embeddings.
        teacher: Images -> patch tokens of the topology teacher.
        source: Scenes to begin from.
        each: Pairs a pattern.
        seed: Of changes and questions.

    Raises:
        MuseError: A pattern has too few pairs.
    """
    found = []
    for pattern in PATTERNS:
        pairs = sorted(_candidates(pattern, embed, source, seed), key=lambda one: -one.alike)
        ranked = pairs[: SHORTLIST * each]
        if len(ranked) < each:
            raise MuseError(
                f"There are {len(ranked)} pairs that differ in {pattern}, and {each} are asked "
                "for: give more scenes, or ask for fewer."
            )
        found += sorted(_seen(ranked, teacher), key=lambda one: one.seen)[:each]
    return found


@torch.no_grad()
def _seen(pairs: Sequence[BlindPair], teacher: Callable[[Images], Tensor]) -> list[BlindPair]:
    """The pairs with how alike the teacher's tokens are, side by side, so that places count."""
    images = torch.stack([pair.images for pair in pairs], 1)
    one, other = (_in_parts(lambda part: teacher(part).flatten(1), each) for each in images)
    cosines = F.cosine_similarity(one, other, dim=-1).tolist()
    return [replace(pair, seen=cosine) for pair, cosine in zip(pairs, cosines, strict=True)]


def _in_parts(network: Callable[[Images], Tensor], images: Images) -> Tensor:
    return torch.cat([network(part) for part in images.split(64)])


@torch.no_grad()
def _candidates(
    pattern: str,
    embed: Callable[[Images], Embeddings],
    source: Scenes,
    seed: int,
) -> Iterator[BlindPair]:
    count, size = min(CANDIDATES, len(source)), source.image_size
    rng = np.random.default_rng([seed, list(PATTERNS).index(pattern)])
    before = source.parameters(list(range(count)))
    after = PATTERNS[pattern](before, size, rng)
    drawn = [draw(scenes, size) for scenes in (before, after)]
    questions = [
        _answers(pattern, scenes, instances, size)
        for scenes, (_, instances) in zip((before, after), drawn, strict=True)
    ]
    one, other = (_in_parts(embed, images) for images, _ in drawn)
    alike = F.cosine_similarity(one, other, dim=-1)
    for row in range(count):
        own, other = questions[0][row], questions[1][row]
        asked = [text for text in own if text in other and own[text] != other[text]]
        if asked:
            text = asked[rng.integers(len(asked))]
            images = torch.stack([images[row] for images, _ in drawn])
            scenes, answers = _both(before, after, row), (own[text], other[text])
            yield BlindPair(pattern, scenes, images, text, answers, float(alike[row]))


def _both(before: SceneParameters, after: SceneParameters, row: int) -> SceneParameters:
    """A scene and what it was changed into."""
    pairs = zip(vars(before).items(), vars(after).values(), strict=True)
    kept = {name: torch.stack([one[row], other[row]]) for (name, one), other in pairs}
    return replace(before, **kept)


def _answers(
    pattern: str, scenes: SceneParameters, instances: Tensor, size: int
) -> Sequence[dict[str, str]]:
    """Question -> answer, of every question of a kind, a scene each."""
    visible = visible_pixels(instances)
    found = []
    for row in range(len(instances)):
        asked: Iterator[Question] = ASKED[pattern](scene_objects(scenes, visible, row, size))
        found.append({one.text: one.answer for one in asked})
    return found
