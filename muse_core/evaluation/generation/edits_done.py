"""Was an edit done, and did the rest stay? By kind, on drawn scenes whose after is known."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from muse_core.data.scene_edits import EDITS, SceneEdit, scene_edit
from muse_core.data.scene_questions import SceneObject, scene_objects
from muse_core.data.scenes import Scenes, draw, visible_pixels
from muse_core.errors import MuseError
from muse_core.evaluation.generation.prompt_following import detected
from muse_core.evaluation.generation.prompts_drawn import share
from muse_core.evaluation.intervals import mean_interval
from muse_core.foundations.scene_detector import Detected, SceneDetector
from muse_core.generation.editing import background_psnr
from muse_core.results.measurements import Measurement
from muse_core.shapes import Bool, Float, Images

Picture = Float[Tensor, "3 image_height image_width"]
AT_ONCE = 100
DIFFERS = 0.02
"""Between before and after, in any channel: a pixel that the edit changes."""
BORDER = 5
"""Pixels along a side of the square that changed pixels grow to: what is near a change may move."""
STAYED = 15.0
"""PSNR in dB to the image before: an object or a ground that is further from it did not stay. One
in another colour has about 10.
"""
SEEN = 12
"""Pixels of an object that are too few to say so of."""
ANYWHERE = ("add",)
"""Kinds whose instruction leaves open where: pixels are not compared with one such image."""


@dataclass(frozen=True)
class EditCase:
    """One edit with both images, (3, size, size).

    ``changed``: pixels that may be others after it. ``stays``: of the ground and of each object
    that the edit does not concern, its pixels. ``was`` and ``becomes``: the object that is named,
    None where it is not there.
    """

    edit: SceneEdit
    before: Picture
    after: Picture
    changed: Bool[Tensor, "height width"]
    stays: Bool[Tensor, "parts height width"]
    was: SceneObject | None
    becomes: SceneObject | None


@dataclass(frozen=True)
class GivenBack:
    """The images of cases before and after their edits, (cases, 3, size, size), encoded and decoded
    by the tokenizer whose latents are edited: its own errors are not held against an edit.
    """

    before: Images
    after: Images

    @classmethod
    def whole(cls, cases: Sequence[EditCase]) -> "GivenBack":
        """As they are, where there is no tokenizer."""
        return cls(*(torch.stack([getattr(c, of) for c in cases]) for of in ("before", "after")))


def edit_cases(source: Scenes, each: int, seed: int = 0) -> list[EditCase]:
    """As many edits of every kind, of the first scenes that allow them.

    Args:
        source: A split.
        each: Edits a kind.
        seed: Chooses objects and what becomes of them.

    Raises:
        MuseError: The split has too few scenes that allow a kind.
    """
    rng = np.random.default_rng(seed)
    found: dict[str, list[EditCase]] = {kind: [] for kind in EDITS}
    for start in range(0, len(source), AT_ONCE):
        indices = list(range(start, min(start + AT_ONCE, len(source))))
        scenes = source.parameters(indices)
        visible = visible_pixels(draw(scenes, source.image_size)[1])
        for row in range(len(indices)):
            wanted = [kind for kind in EDITS if len(found[kind]) < each]
            if not wanted:
                return [case for cases in found.values() for case in cases]
            # One edit a scene, of the kind that is the rarest so far.
            for kind in sorted(wanted, key=lambda kind: len(found[kind])):
                edit = scene_edit(scenes, visible, row, source.image_size, kind, rng)
                if edit is not None:
                    found[kind].append(_case(edit, source.image_size))
                    break
    lacking = ", ".join(kind for kind in EDITS if len(found[kind]) < each)
    if not lacking:
        return [case for cases in found.values() for case in cases]
    raise MuseError(f"{source.fingerprint} has too few scenes for {each} edits a kind: {lacking}.")


def _case(edit: SceneEdit, size: int) -> EditCase:
    (before, _), (after, instances) = draw(edit.before, size), draw(edit.after, size)
    differs = ((before - after).abs().amax(1, keepdim=True) > DIFFERS).float()
    changed = max_pool2d(differs, BORDER, stride=1, padding=BORDER // 2)[0, 0] > 0
    if edit.number < 0:
        # The ground changes: what is to stay are the objects.
        changed = instances[0] == 0
    numbers = [one for one in range(int(instances.max()) + 1) if one != edit.number + 1]
    stays = (instances[0][None] == torch.tensor(numbers)[:, None, None]) & ~changed
    stays = stays[stays.sum((1, 2)) >= SEEN]
    was, becomes = _named(edit.before, edit.number, size), _named(edit.after, edit.number, size)
    return EditCase(edit, before[0], after[0], changed, stays, was, becomes)


def _named(scene, number: int, size: int) -> SceneObject | None:
    objects = scene_objects(scene, visible_pixels(draw(scene, size)[1]), 0, size)
    return next((one for one in objects if one.number == number), None)


def _shows(found: Sequence[Detected], one: SceneObject | None, colour: bool = False) -> bool:
    return one is not None and any(
        each.shape == one.shape and (not colour or each.colour == one.colour) for each in found
    )


def _recoloured(case: EditCase, found: Sequence[Detected]) -> bool:
    return _shows(found, case.becomes, colour=True)


def _retextured(case: EditCase, found: Sequence[Detected]) -> bool:
    return _shows(found, case.becomes)


def _replaced(case: EditCase, found: Sequence[Detected]) -> bool:
    return _shows(found, case.becomes) and not _shows(found, case.was)


def _removed(case: EditCase, found: Sequence[Detected]) -> bool:
    return not _shows(found, case.was)


def _moved(case: EditCase, found: Sequence[Detected]) -> bool:
    """Is every object of this shape nearer to where it should be than to where it was?"""
    assert case.was is not None and case.becomes is not None
    apart = lambda each, one: (each.x - one.centre[0]) ** 2 + (each.y - one.centre[1]) ** 2
    there = [each for each in found if each.shape == case.was.shape]
    near = [apart(each, case.becomes) < apart(each, case.was) for each in there]
    return bool(near) and all(near)


DONE: dict[str, Callable[[EditCase, Sequence[Detected]], bool]] = {
    "recolour": _recoloured,
    "retexture": _retextured,
    "replace": _replaced,
    "add": _recoloured,
    "remove": _removed,
    "move": _moved,
    "background": lambda case, found: True,
}
"""Kind of edit -> (case, what a detector sees after it) -> whether it may have been done."""


def _stayed(case: EditCase, image: Picture, before: Picture) -> bool:
    """Are the ground and every object that is not concerned what they were?"""
    squares = (image - before).square().mean(0) * case.stays
    errors = squares.sum((1, 2)) / case.stays.sum((1, 2))
    return bool((errors < 10 ** (-STAYED / 10)).all())


def _nearer(case: EditCase, image: Picture, before: Picture, after: Picture) -> bool:
    """Are the pixels that change nearer to what was asked for than to what they were?"""
    apart = lambda other: (image - other)[:, case.changed].square().sum()
    return case.edit.kind in ANYWHERE or bool(apart(after) < apart(before))


def edit_hits(
    detector: SceneDetector,
    images: Images,
    cases: Sequence[EditCase],
    given_back: GivenBack | None = None,
) -> list[bool]:
    """Whether each edit was done: the detector sees what is named, what changes is nearer to what
    was asked for than to what was, and ground and other objects stay. Arguments: `measured_edits`.
    """
    whole = given_back or GivenBack.whole(cases)
    each = zip(cases, images, whole.before, whole.after, detected(detector, images), strict=True)
    return [
        DONE[case.edit.kind](case, found)
        and _nearer(case, image, before, after)
        and _stayed(case, image, before)
        for case, image, before, after, found in each
    ]


def measured_edits(
    detector: SceneDetector,
    images: Images,
    cases: Sequence[EditCase],
    given_back: GivenBack | None = None,
    seed: int = 0,
) -> dict[str, Measurement]:
    """Share of the edits that were done while the rest stayed, of each kind and of all; and how
    well the pixels stayed that no edit concerns. An image left as it is has no edit done, but by a
    mistake of the detector where something is added: pixels say nothing there, as the detector says
    nothing of a ground.

    Args:
        detector: The judge.
        images: After the edit, one a case, in [0, 1].
        cases: As many of each kind.
        given_back: What the tokenizer makes of their images; None where nothing was encoded, and
            how well pixels stayed is not measured.
        seed: Of the bootstrap over cases.
    """
    hits = edit_hits(detector, images, cases, given_back)
    kinds = [case.edit.kind for case in cases]
    words = (
        "share of edits that were done: seen by a detector, pixels nearer to what was asked for "
        "than to what was, ground and other objects as they were"
    )
    measured = {"edits": share(hits, words, seed)}
    for kind in dict.fromkeys(kinds):
        of = [hit for hit, each in zip(hits, kinds, strict=True) if each == kind]
        measured[f"edits_{kind}"] = share(of, words, seed)
    if given_back is None:
        return measured
    changed = torch.stack([case.changed for case in cases])
    decibels = background_psnr(images, given_back.before, changed).double().numpy()
    # Not a number where an edit leaves no pixel.
    decibels = decibels[np.isfinite(decibels)]
    ends = mean_interval(decibels, seed) or (None, None)
    said = "PSNR over pixels that the edit leaves, against the image before it encoded and decoded"
    kept = Measurement(float(decibels.mean()), len(decibels), said, *ends)
    return measured | {"edit_background": kept}
