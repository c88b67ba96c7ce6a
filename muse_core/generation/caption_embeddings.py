"""Prompts: what the text tower makes of them, and which words a generator never saw."""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from muse_core.errors import MuseError
from muse_core.foundations.text_tower import TextTower
from muse_core.shapes import Float

LARGEST_VOCABULARY = 500
"""Captions with more words than these are open language: no word is refused."""


@dataclass(frozen=True)
class Conditioning:
    """Prompts as a denoiser reads them.

    Args:
        states: One vector a token.
        mask: 1 for tokens that are there, 0 for padding.
    """

    states: Float[Tensor, "batch tokens width"]
    mask: Float[Tensor, "batch tokens"]


@torch.no_grad()
def conditioning(text: TextTower, prompts: Sequence[str]) -> Conditioning:
    """The last hidden state of a frozen text tower.

    Args:
        text: The text tower.
        prompts: One a sample; "" is the empty prompt, and too long ones are cut.
    """
    tokens = text.tokens(prompts)
    states = text.network(tokens.input_ids, tokens.attention_mask).last_hidden_state
    return Conditioning(states, tokens.attention_mask.to(states.dtype))


def words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+|\d+", text.lower())


def vocabulary(captions: Iterable[str]) -> list[str]:
    """The words of these captions, sorted; empty where there are too many to be a closed list."""
    found = sorted({word for caption in captions for word in words(caption)})
    return found if len(found) <= LARGEST_VOCABULARY else []


def check_words(prompts: Sequence[str], known: Sequence[str]) -> None:
    """Refuse words that a generator never saw.

    Args:
        prompts: What is asked for.
        known: Its `vocabulary`; anything goes where that is empty.

    Raises:
        MuseError: The unknown words, with the nearest known ones.
    """
    asked = dict.fromkeys(word for prompt in prompts for word in words(prompt))
    if unknown := [word for word in asked if known and word not in known]:
        said = "; ".join(f"{word!r}{_suggestion(word, known)}" for word in unknown[:5])
        raise MuseError(f"This generator never saw {said}: its words are {', '.join(known)}.")


def truncation_notes(prompts: Sequence[str], text: TextTower) -> list[str]:
    """One sentence for each prompt of more tokens than the text tower reads."""
    lengths = [len(ids) for ids in text.tokenizer(list(prompts), verbose=False).input_ids]
    return [
        f"The prompt {prompt[:40]!r}... has {length} tokens and the text tower reads "
        f"{text.context}: its end is left out."
        for prompt, length in zip(prompts, lengths, strict=True)
        if length > text.context
    ]


def _suggestion(word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, known, n=2, cutoff=0.6)
    return f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
