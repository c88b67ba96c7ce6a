"""What a caption of scenes claims: its words turned back into objects and a relation."""

import re
from dataclasses import dataclass

from muse_core.data.scenes import COLOURS, RELATIONS, TEXTURES
from muse_core.data.shape_templates import SHAPES
from muse_core.errors import MuseError


@dataclass(frozen=True)
class Claim:
    """One object as named; None where the caption leaves the colour or the texture out."""

    shape: str
    colour: str | None = None
    texture: str | None = None


@dataclass(frozen=True)
class SceneClaims:
    """``relation``: where the first object is, seen from the second (one of RELATIONS); None where
    only one is named.
    """

    objects: tuple[Claim, ...]
    relation: str | None = None


def _one_of(name: str, words: tuple[str, ...] | dict) -> str:
    return f"(?P<{name}>{'|'.join(words)})"


OBJECT = re.compile(
    f"an? (?:{_one_of('texture', TEXTURES)} )?(?:{_one_of('colour', COLOURS)} "
    f")?{_one_of('shape', SHAPES)}"
)
RELATION = re.compile(f" {_one_of('relation', RELATIONS)} ")


def scene_claims(caption: str) -> SceneClaims:
    """ "a red star left of a ring and a dotted heart" -> three claims and a relation.

    Raises MuseError for text that is no caption of scenes.
    """
    first, *rest = RELATION.split(caption, maxsplit=1)
    if not rest:
        return SceneClaims((_claim(first, caption),))
    relation, others = rest
    return SceneClaims(
        tuple(_claim(phrase, caption) for phrase in [first, *others.split(" and ")]), relation
    )


def _claim(phrase: str, caption: str) -> Claim:
    """One object's phrase, article first. Raises MuseError, quoting the whole caption."""
    found = OBJECT.fullmatch(phrase)
    if not found:
        raise MuseError(
            f"{phrase!r} in the caption {caption!r} names no drawn object: write 'a [texture] "
            "[colour] SHAPE', with "
            f"shapes {', '.join(SHAPES)}."
        )
    return Claim(found["shape"], found["colour"], found["texture"])
