"""Does an image of scenes show what its prompt says? After GenEval (Ghosh et al. 2023); the judge
detects drawn shapes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from muse_core.data.scene_claims import Claim, SceneClaims, scene_claims
from muse_core.evaluation.intervals import mean_interval
from muse_core.foundations.scene_detector import Detected, SceneDetector
from muse_core.results.measurements import Measurement
from muse_core.shapes import Images

AT_ONCE = 100


@dataclass(frozen=True)
class Followed:
    """Whether an image does, by category; None where its prompt says nothing of the kind.

    ``shape``: every named shape is there, each by an object of its own; ``colour``: and has its
    named colour; ``count``: there are as many objects as are named; ``relation``: the first named
    stands so to the second; ``all``: whatever applies."""

    shape: bool
    colour: bool | None
    count: bool
    relation: bool | None

    @property
    def all(self) -> bool:
        return all(
            each is not False for each in (self.shape, self.colour, self.count, self.relation)
        )


CATEGORIES = {
    "shape": "every named shape is there",
    "colour": "every named shape is there in its named colour, of prompts that name one",
    "count": "as many objects as the prompt names",
    "relation": "the first object stands as named to the second, of prompts with a relation",
    "all": "everything the prompt says of shapes, colours, number and relation (textures are not judged)",
}


def follows(claims: SceneClaims, found: Sequence[Detected]) -> Followed:
    """Claims against what the judge sees; objects are matched to claims so that most of the claims
    hold.
    """
    matched = _matched(claims.objects, found)
    shape = all(
        each is not None and each.shape == claim.shape
        for claim, each in zip(claims.objects, matched, strict=True)
    )
    coloured = [
        (claim, each) for claim, each in zip(claims.objects, matched, strict=True) if claim.colour
    ]
    colour = all(_holds(claim, each) for claim, each in coloured) if coloured else None
    related = None
    if claims.relation:
        related = (
            shape and colour is not False and relation(matched[0], matched[1]) == claims.relation
        )
    return Followed(shape, colour, len(found) == len(claims.objects), related)


def relation(subject: Detected, other: Detected) -> str:
    """Where the subject is, seen from the other: along the axis on which they are further apart, as
    captions say it.
    """
    dx, dy = subject.x - other.x, subject.y - other.y
    if abs(dx) >= abs(dy):
        return "left of" if dx < 0 else "right of"
    return "above" if dy < 0 else "below"


def prompt_following(
    detector: SceneDetector, images: Images, captions: Sequence[str], seed: int = 0
) -> dict[str, Measurement]:
    """Category -> share of images that follow their prompt, with its interval over the prompts it
    applies to.

    Raises MuseError for a caption that is none of scenes.
    """
    device = next(detector.parameters()).device
    found = [each for part in images.split(AT_ONCE) for each in detector.detect(part.to(device))]
    judged = [
        follows(scene_claims(caption), each) for caption, each in zip(captions, found, strict=True)
    ]
    return {
        category: _share(judged, category, words, seed) for category, words in CATEGORIES.items()
    }


def _share(judged: list[Followed], category: str, words: str, seed: int) -> Measurement:
    held = np.array(
        [answer for each in judged if (answer := getattr(each, category)) is not None],
        dtype=np.float64,
    )
    if not len(held):
        return Measurement.missing(f"no prompt says anything of the kind: {words}")
    low, high = mean_interval(held, seed) or (None, None)
    return Measurement(
        float(held.mean()), len(held), f"share of images: {words}; judged by a detector", low, high
    )


def _matched(claims: Sequence[Claim], found: Sequence[Detected]) -> list[Detected | None]:
    """One object for each claim, or None: the assignment under which most shapes, then most
    colours, are right.
    """
    if not found:
        return [None] * len(claims)
    worth = np.array(
        [
            [2.0 * (claim.shape == each.shape) + _holds(claim, each) for each in found]
            for claim in claims
        ]
    )
    rows, columns = linear_sum_assignment(worth, maximize=True)
    chosen = dict(zip(rows.tolist(), columns.tolist(), strict=True))
    return [found[chosen[row]] if row in chosen else None for row in range(len(claims))]


def _holds(claim: Claim, each: Detected | None) -> bool:
    """Shape and, where it is named, colour."""
    return each is not None and each.shape == claim.shape and claim.colour in (None, each.colour)
