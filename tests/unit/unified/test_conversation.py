"""Conversations as tokens: where the image stands, what is scored, what is refused."""

import pytest
import torch

from muse_core.errors import MuseError
from muse_core.foundations.language_model import IMAGE_TOKEN, SPECIALS, TURN_END
from muse_core.unified.conversation import (
    PLACEHOLDER,
    UNSCORED,
    Turn,
    conversation,
    filled,
    prompts,
    with_image,
)

from .small_language import small_language_model


@pytest.fixture(scope="module")
def model():
    return small_language_model()


def test_the_image_has_its_places_and_the_answer_alone_is_scored(model) -> None:
    turns = [Turn(f"{PLACEHOLDER} what shape is the object ?", "star")]
    ids, labels = conversation(model, turns, 5)
    words = model.tokenizer.convert_ids_to_tokens(ids)
    assert words.count(IMAGE_TOKEN) == 5
    start = words.index(IMAGE_TOKEN)
    assert words[start - 1 : start + 7 : 6] == ["<img>", "</img>"]
    assert words[:2] == ["<|im_start|>", "user"] and "<unk>" not in words
    scored = [word for word, label in zip(words, labels, strict=True) if label != UNSCORED]
    assert scored == ["star", TURN_END]


def test_an_open_turn_is_left_to_the_model_and_earlier_answers_stand(model) -> None:
    turns = [Turn(f"{PLACEHOLDER} what shape is the object ?", "star"), Turn("what colour ?")]
    ids, labels = conversation(model, turns, 2)
    words = model.tokenizer.convert_ids_to_tokens(ids)
    assert words[-2:] == ["<|im_start|>", "assistant"] and words.count("star") == 1
    assert sum(label != UNSCORED for label in labels) == 2


def test_a_batch_ends_together(model) -> None:
    short, long = [Turn("what shape ?", "star")], [Turn("what shape is the object ?", "a red star")]
    batch = prompts(model, [short, long], 0)
    assert batch.ids.shape == batch.mask.shape == batch.labels.shape
    assert batch.mask[1].all() and not batch.mask[0, 0] and batch.mask[:, -1].all()
    assert (batch.labels[~batch.mask] == UNSCORED).all()
    assert batch.ids[0, -1] == batch.ids[1, -1] == model.id_of(TURN_END)


def test_the_image_goes_first_where_nothing_is_said() -> None:
    (turn,) = with_image([Turn("what shape ?")])
    assert turn.question.startswith(PLACEHOLDER)
    said = [Turn(f"what is {PLACEHOLDER} ?"), Turn("and now ?")]
    assert with_image(said) == said


@pytest.mark.parametrize(
    ("turns", "says"),
    [
        ([], "There is no question"),
        ([Turn(f"{PLACEHOLDER} {PLACEHOLDER} ?")], "holds 2 images"),
        ([Turn(f"{PLACEHOLDER} ?", "a"), Turn(PLACEHOLDER)], "holds 2 images"),
    ],
)
def test_two_images_or_no_question_are_refused(turns, says: str) -> None:
    with pytest.raises(MuseError, match=says):
        with_image(turns)


def test_a_prompt_longer_than_the_context_is_refused(model) -> None:
    with pytest.raises(MuseError, match=r"has 1\d\d tokens, and the language model reads 128"):
        conversation(model, [Turn("what " * 130)], 0)


def test_the_image_stands_in_its_places_and_words_in_theirs(model) -> None:
    batch = prompts(model, [[Turn(f"{PLACEHOLDER} what shape ?", "star")]] * 2, 3)
    image = torch.randn(2, 3, 32)
    found = filled(model, batch.ids, image)
    places = batch.ids == model.id_of(IMAGE_TOKEN)
    assert torch.equal(found[places], image.flatten(0, 1))
    assert torch.equal(found[~places], model.embed(batch.ids)[~places])
    with pytest.raises(MuseError, match="has 3 places for an image of 4 tokens"):
        filled(model, batch.ids, torch.randn(2, 4, 32))


def test_unknown_words_are_listed(model) -> None:
    assert model.unknown_words("what shape is the banana split ?") == ["banana", "split"]
    with pytest.raises(MuseError, match="does not know 'banana'"):
        model.check_words("what shape is the banana ?")
    assert not any(model.unknown_words(word) for word in SPECIALS)
