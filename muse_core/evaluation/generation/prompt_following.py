"""Does an image of scenes show what its prompt says? After GenEval (Ghosh et al. 2023); the judge
detects drawn shapes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from muse_core.data.scene_claims import Claim, SceneClaims, scene_claims
from muse_core.errors import MuseError
from muse_core.evaluation.intervals import mean_interval
from muse_core.foundations.scene_detector import Detected, SceneDetector
from muse_core.results.measurements import Measurement
from muse_core.shapes import Images

AT_ONCE = 100


@dataclass(frozen=True)
class Followed:
    """Whether an image does what its prompt says, by category.

    Args:
        shape: Every named shape is there, each by an object of its own.
        colour: And has its named colour; None where the prompt names none.
        count: There are as many objects as are named.
        relation: The first named stands so to the second; None where the prompt names one only.
    """

    shape: bool
    colour: bool | None
    count: bool
    relation: bool | None

    @property
    def all(self) -> bool:
        """Whatever applies."""
        return False not in (self.shape, self.colour, self.count, self.relation)


CATEGORIES = {
    "shape": "every named shape is there",
    "colour": "every named shape is there in its named colour, of prompts that name one",
    "count": "as many objects as the prompt names",
    "relation": "the first object stands as named to the second, of prompts with a relation",
    "all": "everything the prompt says of shapes, colours, number and relation (textures are not "
    "judged)",
}


def follows(claims: SceneClaims, found: Sequence[Detected]) -> Followed:
    """Claims against what the judge sees.

    Args:
        claims: What the prompt names.
        found: The objects in the image; each claim is matched to one, so that most claims hold.
    """
    pairs = list(zip(claims.objects, _matched(claims.objects, found), strict=True))
    shape = all(each is not None and each.shape == claim.shape for claim, each in pairs)
    coloured = [_holds(claim, each) for claim, each in pairs if claim.colour]
    colour = all(coloured) if coloured else None
    related = None
    if claims.relation:
        first, second = (each for _, each in pairs[:2])
        seen = relation(first, second) if first and second else None
        related = shape and colour is not False and seen == claims.relation
    return Followed(shape, colour, len(found) == len(claims.objects), related)


def relation(subject: Detected, other: Detected) -> str:
    """Where the subject is, seen from the other: along the axis on which they are further apart, as
    captions say it.
    """
    dx, dy = subject.x - other.x, subject.y - other.y
    if abs(dx) >= abs(dy):
        return "left of" if dx < 0 else "right of"
    return "above" if dy < 0 else "below"


def detected(detector: SceneDetector, images: Images) -> list[list[Detected]]:
    """What the judge sees of each image.

    Raises:
        MuseError: An image holds what is no number.
    """
    finite = images.isfinite().flatten(1).all(1)
    if not finite.all():
        which = int((~finite).nonzero()[0])
        raise MuseError(
            f"Image {which + 1} of {len(images)} holds values that are no numbers, and cannot be "
            "judged: look at the training's loss."
        )
    device = next(detector.parameters()).device
    return [each for part in images.split(AT_ONCE) for each in detector.detect(part.to(device))]


def prompt_following(
    detector: SceneDetector, images: Images, captions: Sequence[str], seed: int = 0
) -> dict[str, Measurement]:
    """Category -> share of images that follow their prompt, of those it applies to, with interval.

    Args:
        detector: The judge.
        images: (images, 3, height, width) in [0, 1].
        captions: The prompt of each.
        seed: Of the bootstrap.

    Raises:
        MuseError: A caption is none of scenes; or as `detected`.
    """
    pairs = zip(captions, detected(detector, images), strict=True)
    judged = [follows(scene_claims(caption), each) for caption, each in pairs]
    return {name: _share(judged, name, words, seed) for name, words in CATEGORIES.items()}


def _share(judged: list[Followed], category: str, words: str, seed: int) -> Measurement:
    answers = [getattr(each, category) for each in judged]
    held = np.array([each for each in answers if each is not None], dtype=np.float64)
    if not len(held):
        return Measurement.missing(f"no prompt says anything of the kind: {words}")
    low, high = mean_interval(held, seed) or (None, None)
    protocol = f"share of images: {words}; judged by a detector"
    return Measurement(float(held.mean()), len(held), protocol, low, high)


def _matched(claims: Sequence[Claim], found: Sequence[Detected]) -> list[Detected | None]:
    """One object for each claim, or None: the assignment under which most shapes, then most
    colours, are right.
    """
    if not found:
        return [None] * len(claims)
    worth = [
        [2 * (claim.shape == each.shape) + _holds(claim, each) for each in found]
        for claim in claims
    ]
    rows, columns = linear_sum_assignment(np.array(worth, dtype=float), maximize=True)
    chosen = dict(zip(rows.tolist(), columns.tolist(), strict=True))
    return [found[chosen[row]] if row in chosen else None for row in range(len(claims))]


def _holds(claim: Claim, each: Detected | None) -> bool:
    """Shape and, where it is named, colour."""
    return each is not None and each.shape == claim.shape and claim.colour in (None, each.colour)
