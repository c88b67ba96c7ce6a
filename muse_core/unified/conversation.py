"""A conversation about an image as tokens of a language model, in InternVL3's form."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from muse_core.errors import MuseError
from muse_core.foundations.language_model import (
    IMAGE_END,
    IMAGE_START,
    IMAGE_TOKEN,
    TURN_END,
    TURN_START,
    LanguageModel,
)
from muse_core.shapes import Bool, Int

PLACEHOLDER = "<image>"
"""In a question: where the image stands; without one it stands first."""
UNSCORED = -100
"""A label that no loss counts."""


@dataclass(frozen=True)
class Turn:
    """A question and its answer, "" where it is still to be given."""

    question: str
    answer: str = ""


@dataclass(frozen=True)
class Prompts:
    """Conversations of one length, padded at the left so that all end together.

    ``ids``; ``mask``: False on padding; ``labels``: the ids of answers, `UNSCORED` elsewhere."""

    ids: Int[Tensor, "batch tokens"]
    mask: Bool[Tensor, "batch tokens"]
    labels: Int[Tensor, "batch tokens"]

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str) -> "Prompts":
        moved = (each.to(device, non_blocking=True) for each in (self.ids, self.mask, self.labels))
        return Prompts(*moved)


def with_image(turns: Sequence[Turn]) -> list[Turn]:
    """The turns with `PLACEHOLDER` in exactly one question, the first where none has it.

    Raises:
        MuseError: They hold two images, or there is no turn.
    """
    if not turns:
        raise MuseError("There is no question: ask one.")
    count = sum(turn.question.count(PLACEHOLDER) for turn in turns)
    if count > 1:
        raise MuseError(
            f"The conversation holds {count} images, and this model reads one: ask about one at a "
            f"time, with {PLACEHOLDER} once."
        )
    if count:
        return list(turns)
    first, *rest = turns
    return [Turn(f"{PLACEHOLDER}\n{first.question}", first.answer), *rest]


def conversation(
    model: LanguageModel, turns: Sequence[Turn], image_tokens: int
) -> tuple[list[int], list[int]]:
    """Ids and labels of one conversation; what an open last turn lacks is left to the model.

    Args:
        model: Whose words.
        turns: With at most one `PLACEHOLDER` among them.
        image_tokens: How many tokens the image has.

    Raises:
        MuseError: It is longer than the model reads.
    """
    image = IMAGE_START + IMAGE_TOKEN * image_tokens + IMAGE_END
    ids: list[int] = []
    labels: list[int] = []
    for turn in turns:
        asked = turn.question.replace(PLACEHOLDER, image)
        before = f"{TURN_START}user\n{asked}{TURN_END}\n{TURN_START}assistant\n"
        said = model.ids(before)
        ids, labels = ids + said, labels + [UNSCORED] * len(said)
        if turn.answer:
            said = model.ids(f"{turn.answer}{TURN_END}\n")
            ids, labels = ids + said, labels + said
    if len(ids) > model.context:
        raise MuseError(
            f"This conversation has {len(ids):,} tokens, and the language model reads "
            f"{model.context:,}: ask less, or begin a new one."
        )
    return ids, labels


def prompts(
    model: LanguageModel, conversations: Sequence[Sequence[Turn]], image_tokens: int
) -> Prompts:
    """Conversations as one batch. Raises MuseError as `conversation`."""
    found = [conversation(model, turns, image_tokens) for turns in conversations]
    longest = max(len(ids) for ids, _ in found)
    pad = model.tokenizer.pad_token_id or 0
    rows = [longest - len(ids) for ids, _ in found]
    return Prompts(
        ids=torch.tensor([[pad] * n + ids for n, (ids, _) in zip(rows, found, strict=True)]),
        mask=torch.tensor([[False] * n + [True] * (longest - n) for n in rows]),
        labels=torch.tensor(
            [[UNSCORED] * n + labels for n, (_, labels) in zip(rows, found, strict=True)]
        ),
    )


def filled(model: LanguageModel, ids: Tensor, image: Tensor) -> Tensor:
    """Word embeddings (batch, tokens, width) with an image's in its places.

    Args:
        model: Whose embeddings.
        ids: (batch, tokens).
        image: (batch, image tokens, width).

    Raises:
        MuseError: A conversation has another number of places.
    """
    places = ids == model.id_of(IMAGE_TOKEN)
    wrong = places.sum(1) != image.shape[1]
    if wrong.any():
        raise MuseError(
            f"A conversation has {int(places.sum(1)[wrong][0])} places for an image of "
            f"{image.shape[1]} tokens: write {PLACEHOLDER} once."
        )
    embedded = model.embed(ids)
    return embedded.masked_scatter(places[..., None], image.to(embedded.dtype))
