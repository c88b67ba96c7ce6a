"""Was an edit done, and did the rest stay? By kind, on drawn scenes whose after is known."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from muse_core.data.scene_edits import EDITS, SceneEdit, scene_edit
from muse_core.data.scene_questions import SceneObject, scene_objects
from muse_core.data.scenes import TEXTURES, Scenes, draw, visible_pixels
from muse_core.errors import MuseError
from muse_core.evaluation.generation.prompts_drawn import detected, share
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


@dataclass(frozen=True)
class EditCase:
    """One edit with both images, (3, size, size); ``changed``: pixels that may be others after it.

    ``was`` and ``becomes``: the object that is named, None where it is not there.
    """

    edit: SceneEdit
    before: Picture
    after: Picture
    changed: Bool[Tensor, "height width"]
    was: SceneObject | None
    becomes: SceneObject | None
    others: tuple[str, ...]


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
    raise MuseError(f"{source.fingerprint} has too few scenes for {each} edits a kind: {lacking}.")


def _case(edit: SceneEdit, size: int) -> EditCase:
    (before, _), (after, instances) = draw(edit.before, size), draw(edit.after, size)
    differs = ((before - after).abs().amax(1, keepdim=True) > DIFFERS).float()
    changed = max_pool2d(differs, BORDER, stride=1, padding=BORDER // 2)[0, 0] > 0
    if edit.number < 0:
        # The ground changes: what is to stay are the objects.
        changed = instances[0] == 0
    was, becomes = _named(edit.before, edit.number, size), _named(edit.after, edit.number, size)
    there = scene_objects(edit.after, visible_pixels(instances), 0, size)
    others = tuple(one.shape for one in there if one.number != edit.number)
    return EditCase(edit, before[0], after[0], changed, was, becomes, others)


def _named(scene, number: int, size: int) -> SceneObject | None:
    objects = scene_objects(scene, visible_pixels(draw(scene, size)[1]), 0, size)
    return next((one for one in objects if one.number == number), None)


def _shows(found: Sequence[Detected], one: SceneObject | None, colour: bool = False) -> bool:
    return one is not None and any(
        each.shape == one.shape and (not colour or each.colour == one.colour) for each in found
    )


def _recoloured(case: EditCase, image: Picture, found: Sequence[Detected]) -> bool:
    return _shows(found, case.becomes, colour=True)


def _retextured(case: EditCase, image: Picture, found: Sequence[Detected]) -> bool:
    """The object is seen, and of it in each texture the one that was asked for is the nearest."""
    if not _shows(found, case.becomes):
        return False
    edit, size = case.edit, image.shape[-1]
    inside = draw(edit.after, size)[1][0] == edit.number + 1
    apart = []
    for texture in range(len(TEXTURES)):
        textures = edit.after.texture.clone()
        textures[0, edit.number] = texture
        drawn = draw(replace(edit.after, texture=textures), size)[0][0]
        apart.append((_centred(drawn[:, inside]) - _centred(image[:, inside])).square().sum())
    return int(torch.stack(apart).argmin()) == int(edit.after.texture[0, edit.number])


def _centred(pixels: Tensor) -> Tensor:
    return pixels - pixels.mean(1, keepdim=True)


def _replaced(case: EditCase, image: Picture, found: Sequence[Detected]) -> bool:
    return _shows(found, case.becomes) and not _shows(found, case.was)


def _removed(case: EditCase, image: Picture, found: Sequence[Detected]) -> bool:
    return not _shows(found, case.was)


def _moved(case: EditCase, image: Picture, found: Sequence[Detected]) -> bool:
    """Is an object of this shape nearer to where it should be than to where it was?"""
    assert case.was is not None and case.becomes is not None
    apart = lambda each, one: (each.x - one.centre[0]) ** 2 + (each.y - one.centre[1]) ** 2
    return any(
        each.shape == case.was.shape and apart(each, case.becomes) < apart(each, case.was)
        for each in found
    )


def _background(case: EditCase, image: Picture, found: Sequence[Detected]) -> bool:
    """Is the ground's lightness nearer to what it should be than to what it was?"""
    light, was, wanted = (each[:, case.changed].mean() for each in (image, case.before, case.after))
    return bool((light - wanted).abs() < (light - was).abs())


DONE: dict[str, Callable[[EditCase, Picture, Sequence[Detected]], bool]] = {
    "recolour": _recoloured,
    "retexture": _retextured,
    "replace": _replaced,
    "add": _recoloured,
    "remove": _removed,
    "move": _moved,
    "background": _background,
}
"""Kind of edit -> (case, image after it, what a detector sees there) -> whether it was done."""


def _done(case: EditCase, image: Picture, found: Sequence[Detected]) -> bool:
    """And the other objects are still seen: an empty image removes everything."""
    stayed = set(case.others) <= {each.shape for each in found}
    return stayed and DONE[case.edit.kind](case, image, found)


def edit_hits(detector: SceneDetector, images: Images, cases: Sequence[EditCase]) -> list[bool]:
    """Whether each edit was done and the other objects are still seen."""
    judged = zip(cases, images, detected(detector, images), strict=True)
    return [_done(*each) for each in judged]


def measured_edits(
    detector: SceneDetector,
    images: Images,
    cases: Sequence[EditCase],
    unedited: Images | None = None,
    seed: int = 0,
) -> dict[str, Measurement]:
    """Share of the edits that were done while the other objects stayed, of each kind and of all;
    and how well the pixels stayed that no edit concerns.

    Args:
        detector: The judge.
        images: After the edit, one a case, in [0, 1].
        cases: As many of each kind.
        unedited: The images before the edits, encoded and decoded by the tokenizer whose latents
            are edited, so that its own error is not held against the edit; None where nothing was
            encoded, and the pixels are not measured.
        seed: Of the bootstrap over cases.
    """
    hits = edit_hits(detector, images, cases)
    kinds = [case.edit.kind for case in cases]
    words = (
        "share of edits that were done, the other objects still seen; judged by a detector, "
        "textures and grounds by pixels"
    )
    measured = {"edits": share(hits, words, seed)}
    for kind in dict.fromkeys(kinds):
        of = [hit for hit, each in zip(hits, kinds, strict=True) if each == kind]
        measured[f"edits_{kind}"] = share(of, words, seed)
    if unedited is None:
        return measured
    changed = torch.stack([case.changed for case in cases])
    decibels = background_psnr(images, unedited, changed).double().numpy()
    decibels = decibels[np.isfinite(decibels)]
    ends = mean_interval(decibels, seed) or (None, None)
    said = "PSNR over pixels that the edit leaves, against the image before it encoded and decoded"
    kept = Measurement(float(decibels.mean()), len(decibels), said, *ends)
    return measured | {"edit_background": kept}
