"""What a drawer learns from: latents of drawn scenes with prompts, and of edited scenes with the
tokens of the scene before and the instruction.
"""

import sys
from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from muse_core.data.scene_edits import EDITS, SceneEdit, scene_edit
from muse_core.data.scene_questions import scene_objects
from muse_core.data.scenes import (
    Scenes,
    captions_of,
    draw,
    visible_pixels,
)
from muse_core.errors import MuseError
from muse_core.generation.codecs import Codec
from muse_core.shapes import Latents, Tokens
from muse_core.unified.scene_prompts import said_of
from muse_core.unified.sight import Sight

AT_ONCE = 64
IN_FORM = 0.4
"""Share of the scenes that are asked for in a form of GenEval's; the others by their caption."""


@dataclass(frozen=True)
class PaintedBatch:
    """Raw latents of what is to be drawn. ``edits``: whether a row changes an image, whose
    ``tokens`` and latents ``before`` are there (zeros elsewhere); the other fields as in
    `muse_core.data.batch.Batch`.
    """

    latents: Latents
    prompts: tuple[str, ...]
    edits: Tensor
    tokens: Tokens
    before: Latents
    ids: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    enlarged: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str) -> "PaintedBatch":
        moved = {
            name: getattr(self, name).to(device, non_blocking=True)
            for name in ("latents", "edits", "tokens", "before")
        }
        return replace(self, **moved)


@dataclass(frozen=True)
class DrawnPairs:
    """All latents and tokens in memory, indexed like a `muse_core.data.batch.Source`.

    Args:
        latents: Raw, of what is to be drawn, (rows, channels, height, width).
        prompts: Captions and instructions.
        edits: Whether a row changes an image.
        tokens: Of the image before, halves; zeros where nothing is changed.
        before: Raw latents of it, likewise.
        fingerprint: Changes with the scenes, with what encoded and with what saw them.
    """

    latents: Latents
    prompts: tuple[str, ...]
    edits: Tensor
    tokens: Tokens
    before: Latents
    fingerprint: str

    def __len__(self) -> int:
        return len(self.prompts)

    def __getitems__(self, indices: list[int]) -> PaintedBatch:
        return PaintedBatch(
            self.latents[indices],
            tuple(self.prompts[index] for index in indices),
            self.edits[indices],
            self.tokens[indices].float(),
            self.before[indices].float(),
            tuple(map(str, indices)),
        )

    @classmethod
    def of(
        cls,
        codec: Codec,
        sight: Sight | None,
        source: Scenes,
        images: int,
        edit_share: float = 0.0,
        seed: int = 0,
    ) -> "DrawnPairs":
        """Of the first scenes, each once: drawn by its caption or in one of GenEval's forms, or as
        it is after an edit.

        Args:
            codec: Makes the latents.
            sight: Sees the image before an edit; None where nothing is edited.
            source: The scenes.
            images: How many.
            edit_share: Of them; scenes without a shape of its own cannot be edited and are drawn.
            seed: Of which are edited, and how.

        Raises:
            MuseError: Latents or tokens are not finite, there is no image, or edits and no sight.
        """
        count = min(images, len(source))
        if count < 1:
            raise MuseError("There is no image to draw: give images=1 or more.")
        if edit_share and sight is None:
            raise MuseError("Scenes are to be edited and nothing sees them: give a sight, or 0.")
        rng = np.random.default_rng(seed)
        latents, before, tokens, prompts, edits = [], [], [], [], []
        with tqdm(total=count, desc="pairs", unit="image", file=sys.stdout, mininterval=2) as bar:
            for start in range(0, count, AT_ONCE):
                indices = list(range(start, min(start + AT_ONCE, count)))
                scenes = source.parameters(indices)
                images_, instances = draw(scenes, source.image_size)
                originals = images_.clone()
                visible = visible_pixels(instances)
                said = list(captions_of(scenes, visible, source.wording))
                changed = [
                    _edit(scenes, visible, row, source.image_size, rng)
                    if rng.random() < edit_share
                    else None
                    for row in range(len(indices))
                ]
                for row, edit in enumerate(changed):
                    objects = scene_objects(scenes, visible, row, source.image_size)
                    form = said_of(objects, rng) if rng.random() < IN_FORM else None
                    said[row] = form or said[row]
                    if edit is not None:
                        images_[row] = draw(edit.after, source.image_size)[0][0]
                        said[row] = edit.instruction
                latents.append(codec.encode(images_.to(codec.device)).float().cpu())
                of_edits = torch.tensor([edit is not None for edit in changed])
                held = torch.zeros_like(latents[-1], dtype=torch.half)
                if of_edits.any():
                    some = codec.encode(originals[of_edits].to(codec.device))
                    held[of_edits] = some.half().cpu()
                before.append(held)
                if sight is not None:
                    seen = sight.see(scenes, source.image_size)[0].half().cpu()
                    tokens.append(seen * of_edits[:, None, None])
                prompts += said
                edits.append(of_edits)
                bar.update(len(indices))
        found = torch.cat(latents)
        seen = torch.cat(tokens) if tokens else torch.zeros(len(found), 1, 1)
        held = torch.cat(before)
        if not all(torch.isfinite(each).all() for each in (found, seen, held)):
            raise MuseError(
                "Latents or tokens of the scenes are not finite: look for NaN in the tokenizer."
            )
        seen_by = sight.fingerprint if sight is not None else ""
        said = blake2b(repr(prompts).encode(), digest_size=8).hexdigest()
        name = f"{source.fingerprint}/{count}/{said}/{codec.fingerprint}/{seen_by}"
        return cls(found, tuple(prompts), torch.cat(edits), seen, held, name)


def _edit(
    scenes, visible: Tensor, row: int, size: int, rng: np.random.Generator
) -> SceneEdit | None:
    """An edit of a kind by chance, of those that the scene allows; None where it allows none."""
    kinds = [list(EDITS)[at] for at in rng.permutation(len(EDITS))]
    found = (scene_edit(scenes, visible, row, size, kind, rng) for kind in kinds)
    return next((each for each in found if each is not None), None)
