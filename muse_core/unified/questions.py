"""Questions about images that were seen once: stored tokens beside what is asked of them."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np
import torch
from tqdm import tqdm

from muse_core.data.scene_questions import ASKED, Question, ask, scene_objects
from muse_core.data.scenes import Scenes, visible_pixels
from muse_core.errors import MuseError
from muse_core.shapes import Tokens
from muse_core.unified.sight import Sight

SEEN_AT_ONCE = 64


@dataclass(frozen=True)
class AskedBatch:
    """Tokens of the images that questions are about, a row a question; the other fields as in
    `muse_core.data.batch.Batch`.
    """

    tokens: Tokens
    questions: tuple[Question, ...]
    ids: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    enlarged: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str) -> "AskedBatch":
        return replace(self, tokens=self.tokens.to(device, non_blocking=True))


@dataclass(frozen=True)
class AskedImages:
    """All tokens in memory, indexed by question like a `muse_core.data.batch.Source`.

    Args:
        tokens: Of each image, (images, tokens, width), halves.
        grid: Rows and columns of an image's tokens.
        asked: (image, question) pairs.
        fingerprint: Changes with the images, with what saw them and with what is asked.
    """

    tokens: Tokens
    grid: tuple[int, int]
    asked: tuple[tuple[int, Question], ...]
    fingerprint: str

    def __len__(self) -> int:
        return len(self.asked)

    def __getitems__(self, indices: list[int]) -> AskedBatch:
        images, questions = zip(*(self.asked[index] for index in indices), strict=True)
        tokens = self.tokens[list(images)].float()
        return AskedBatch(tokens, questions, tuple(map(str, indices)))

    @classmethod
    def of(cls, sight: Sight, source: Scenes, images: int, seed: int) -> "AskedImages":
        """One question of every kind about each of the first scenes, where it answers one.

        Args:
            sight: What sees them.
            source: The scenes.
            images: How many.
            seed: Of the questions.

        Raises:
            MuseError: Tokens are not finite, or there is no image.
        """
        count = min(images, len(source))
        if count < 1:
            raise MuseError("There is no image to ask about: give images=1 or more.")
        draw, asked, tokens, grid = np.random.default_rng(seed), [], [], (0, 0)
        with tqdm(total=count, desc="tokens", unit="image", file=sys.stdout, mininterval=2) as bar:
            for start in range(0, count, SEEN_AT_ONCE):
                indices = list(range(start, min(start + SEEN_AT_ONCE, count)))
                seen, grid = sight.see(source.parameters(indices), source.image_size)
                tokens.append(seen.half().cpu())
                if not torch.isfinite(tokens[-1]).all():
                    raise MuseError(
                        f"The tokens of scenes {indices[0]} to {indices[-1]} are not finite: look "
                        "for NaN in the network that sees."
                    )
                asked += _questions(source, indices, draw)
                bar.update(len(indices))
        said = blake2b(repr(asked).encode(), digest_size=8).hexdigest()
        name = f"{source.fingerprint}/{count}/{seed}/{sight.fingerprint}/{said}"
        return cls(torch.cat(tokens), grid, tuple(asked), name)


def _questions(
    source: Scenes, indices: Sequence[int], draw: np.random.Generator
) -> list[tuple[int, Question]]:
    """(position, question) of each kind that a scene answers."""
    scenes, batch = source.parameters(list(indices)), source.__getitems__(list(indices))
    assert batch.instance_masks is not None
    visible = visible_pixels(batch.instance_masks)
    found = []
    for row, index in enumerate(indices):
        objects = scene_objects(scenes, visible, row, source.image_size)
        for kind in ASKED:
            if question := ask(objects, kind, draw):
                found.append((index, question))
    return found
