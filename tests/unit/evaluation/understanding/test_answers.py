"""Answers are counted when they are the right words; chance is the commonest answer of each form."""

import pytest
import torch

from muse_core.data.scene_questions import CELL_WORDS, Question
from muse_core.data.scenes import Scenes
from muse_core.evaluation.understanding.answers import guessed, measured_answers, said
from muse_core.unified.projector import VisualProjector
from muse_core.unified.questions import AskedImages
from muse_core.unified.sight import InWords
from tests.unit.unified.small_language import small_language_model


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    from muse_core.evaluation import intervals

    monkeypatch.setattr(intervals, "RESAMPLES", 50)


def asked(*questions: Question) -> AskedImages:
    return AskedImages(
        torch.zeros(len(questions), 16, 3).half(), (4, 4), tuple(enumerate(questions)), "these"
    )


def question(kind: str, answer: str, choices: tuple[str, ...]) -> Question:
    return Question(kind, "what shape ?", answer, choices)


def test_an_answer_counts_when_it_is_the_right_words(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model, projector = small_language_model(), VisualProjector(3, 32)
    answers = ("top left", "top", "red", "red")
    ids = [model.ids(f"{each} <|im_end|>") for each in ("top left", "top left", "red", "blue")]
    longest = max(map(len, ids))
    end = model.ids("<|im_end|>")[0]
    words = torch.tensor([row + [end] * (longest - len(row)) for row in ids])
    monkeypatch.setattr(
        "muse_core.evaluation.understanding.answers.answers",
        lambda *given: iter(words.unbind(1)),
    )
    kinds = ("position", "position", "colour", "colour")
    given = asked(*(question(k, a, (a, "x")) for k, a in zip(kinds, answers, strict=True)))
    ((_, found),) = said(model, projector, given)
    assert found == ["top left", "top left", "red", "blue"]
    measured = measured_answers(model, projector, given)
    assert measured["answers"].value == 0.5 and measured["answers"].n == 4
    assert measured["answers_position"].value == measured["answers_colour"].value == 0.5
    assert measured.keys() == {"answers", "answers_position", "answers_colour"}


def test_chance_says_what_was_commonest_for_each_form() -> None:
    two, three = ("a", "b"), ("a", "b", "c")
    known = asked(
        *(question("shape", answer, two) for answer in "aab"),
        *(question("shape", answer, three) for answer in "bbc"),
    )
    test = asked(
        *(question("shape", answer, two) for answer in "ab"),
        *(question("shape", answer, three) for answer in "bc"),
        question("colour", "red", two),
    )
    found = guessed(test, known)
    assert found["answers_shape"].value == 0.5 and found["answers_colour"].value == 0
    assert found["answers"].value == pytest.approx(2 / 5)


def test_the_ceiling_reads_what_the_scene_shows_in_words() -> None:
    source = Scenes("val", 32)
    told = AskedImages.of(InWords(4), source, 70, 0)
    assert told.tokens.shape == (70, 16, len(CELL_WORDS)) and told.grid == (4, 4)
    batch = source.__getitems__([66])
    ground = told.tokens[66, :, CELL_WORDS.index("ground")].float().mean()
    nothing = (batch.instance_masks == 0).float().mean()
    assert ground == pytest.approx(nothing.item(), abs=1e-2)
