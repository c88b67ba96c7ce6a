"""What the stand-in for a language model learns from: every text can be answered from what it says."""

import pytest
import torch

from muse_core.data.scene_questions import Question
from muse_core.data.shape_templates import SHAPES
from scripts.tiny_foundations import language_model as module
from scripts.tiny_foundations.language_model import (
    SHARES,
    TextsAboutScenes,
    answered_by,
    answered_from_words,
    loss_of,
    new_language_model,
    ordered,
    train_language_model,
)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return new_language_model()


@pytest.fixture
def texts(model, monkeypatch) -> TextsAboutScenes:
    monkeypatch.setattr(module, "POOL", 60)
    return TextsAboutScenes(ordered(model), seed=0)


def test_every_word_is_known_and_every_kind_of_text_is_there(model, texts) -> None:
    turns = [turn for each in texts.batch(300).turns for turn in each]
    for turn in turns:
        said = f"{turn.question.replace('<image>', '')} {turn.answer}"
        assert turn.answer and not model.unknown_words(said), turn
    questions = [turn.question for turn in turns]
    assert any(each.startswith("draw the shape that") for each in questions)
    assert any(" in the colour " in each for each in questions)
    assert any(each.startswith("<image>\nremove the ") for each in questions)
    assert any(each == "<image>\nwhat is in the picture ?" for each in questions)
    assert max(map(len, texts.batch(50).turns)) > 1 and sum(SHARES.values()) < 1


def test_a_caption_answers_what_it_says_and_nothing_else() -> None:
    caption = "a dotted red star left of a heart and a blue ring"
    ask = lambda kind, text, answer: answered_by(caption, Question(kind, text, answer, ()))
    assert ask("colour", "what colour is the star ?", "red")
    assert not ask("colour", "what colour is the heart ?", "green")
    assert ask("texture", "what texture has the star ?", "dotted")
    assert not ask("texture", "what texture has the ring ?", "plain")
    assert ask("shape", "what shape is the blue object ?", "ring")
    assert ask("shape", "what shape is the large object ?", "star")
    assert not ask("shape", "what shape is the green object ?", "heart")
    assert ask("relation", "where is the star , seen from the heart ?", "left of")
    assert not ask("relation", "where is the heart , seen from the ring ?", "above")
    assert not ask("position", "where is the star ?", "top left")


def test_it_is_the_same_by_seed(model, monkeypatch) -> None:
    monkeypatch.setattr(module, "POOL", 40)
    said = [TextsAboutScenes(ordered(model), seed).batch(20).turns for seed in (0, 0, 1)]
    assert said[0] == said[1] != said[2]


def test_a_few_steps_lower_the_loss_and_give_figures(monkeypatch) -> None:
    monkeypatch.setattr(module, "POOL", 60)
    from muse_core.data.scenes import Scenes

    trained, losses = train_language_model(Scenes("train"), steps=12, batch_size=8, seed=0)
    assert sum(losses[-3:]) < sum(losses[:3])
    found = answered_from_words(trained, Scenes("val"), 4)
    assert {"answers", "facts", "shape"} <= found.keys() and max(found.values()) <= 1


def test_a_fact_has_no_image_and_its_row_stays_as_it_is(model, texts) -> None:
    batch = texts.batch(40)
    assert any("<image>" not in each[0].question for each in batch.turns)
    assert torch.isfinite(loss_of(model, batch, noise=0.3))
    assert all(shape in model.tokenizer.get_vocab() for shape in SHAPES)
