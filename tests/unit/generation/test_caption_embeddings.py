"""What a user asks for is checked word by word before anything is drawn."""

import pytest
import torch

from muse_core.config.presets import tiny
from muse_core.errors import MuseError
from muse_core.foundations.text_tower import TextTower
from muse_core.generation.caption_embeddings import (
    check_words,
    conditioning,
    truncation_notes,
    vocabulary,
)

KNOWN = vocabulary(["a red star left of a blue circle", "a heart"])


def test_unknown_words_are_listed_with_suggestions() -> None:
    check_words(["a blue star", "A RED heart!"], KNOWN)
    with pytest.raises(
        MuseError, match=r"never saw 'stat' \(did you mean 'star'\?\); 'dog': its words are a, blue"
    ):
        check_words(["a stat", "a red dog"], KNOWN)
    check_words(["anything at all"], [])
    assert (
        vocabulary(f"word{chr(97 + i)}{chr(97 + j)}" for i in range(26) for j in range(26)) == []
    ), "open language"


def test_long_prompts_are_noted_and_cut() -> None:
    text = TextTower.from_pretrained(tiny().foundations.text_tower)
    long = " and ".join(["a red star"] * 12)
    notes = truncation_notes(["a red star", long], text)
    assert len(notes) == 1 and "the text tower reads 32" in notes[0]
    found = conditioning(text, ["a red star", long])
    assert (
        found.states.shape[:2] == found.mask.shape == (2, 32)
        and found.mask[0].sum() < found.mask[1].sum() == 32
    )


def test_padding_changes_no_token() -> None:
    text = TextTower.from_pretrained(tiny().foundations.text_tower).eval()
    alone = conditioning(text, ["a red star"])
    beside = conditioning(text, ["a red star", "a blue circle left of a green heart"])
    assert torch.allclose(alone.states[0], beside.states[0, : alone.states.shape[1]], atol=1e-5)
