"""It answers about an image, goes on with a conversation, is saved whole, and says what it cannot
do.
"""

from pathlib import Path

import pytest
import torch
from PIL import Image

from muse_core.errors import MuseError
from muse_core.foundations.language_model import TURN_END
from muse_core.unified.conversation import PLACEHOLDER, Turn, filled, prompts, with_image
from muse_core.unified.projector import VisualProjector
from muse_core.unified.seeing_model import READS, SeeingModel, answers

from ..models.small_models import TINY, small_tokenizer
from .small_language import small_language_model


def model_of(reads: str = "semantic") -> SeeingModel:
    torch.manual_seed(0)
    sees = small_tokenizer().eval()
    images = torch.rand(1, 3, TINY.image_size, TINY.image_size)
    width = READS[reads](sees, images).shape[-1]
    return SeeingModel(sees, VisualProjector(width, 32), small_language_model(), reads).eval()


@pytest.fixture(scope="module")
def model() -> SeeingModel:
    return model_of()


@pytest.fixture
def image() -> Image.Image:
    return Image.new("RGB", (TINY.image_size, TINY.image_size), "red")


@pytest.mark.parametrize("reads", READS)
def test_it_answers_and_goes_on(reads: str, image) -> None:
    model = model_of(reads)
    answer, history = model.chat(image, "what shape is the object ?")
    assert history == [Turn("what shape is the object ?", answer)]
    again, longer = model.chat(image, "what colour ?", history)
    assert len(longer) == 2 and longer[0] == history[0] and longer[1].answer == again
    assert "".join(model.stream(image, "what colour ?", history)) == again


def test_an_image_may_be_a_file(model, image, tmp_path: Path) -> None:
    image.save(tmp_path / "red.png")
    asked = "what shape is the object ?"
    assert model.chat(tmp_path / "red.png", asked)[0] == model.chat(image, asked)[0]


def test_an_answer_is_the_likeliest_word_after_the_likeliest_word(model) -> None:
    language, seen = (
        model.language_model,
        model.see(torch.rand(2, 3, TINY.image_size, TINY.image_size)),
    )
    asked = ["what shape is the object ?", "how many ?"]
    batch = prompts(language, [with_image([Turn(each)]) for each in asked], seen.shape[1])
    found = torch.stack(list(answers(language, batch, seen, 6)), 1)
    end = language.id_of(TURN_END)
    for row, text in enumerate(asked):
        alone = prompts(language, [with_image([Turn(text)])], seen.shape[1])
        words = filled(language, alone.ids, seen[row : row + 1])
        for word in found[row].tolist():
            with torch.no_grad():
                logits = language.network(inputs_embeds=words).logits[0, -1]
            assert word == logits.argmax()
            if word == end:
                break
            words = torch.cat([words, language.embed(torch.tensor([[word]]))], 1)


def test_a_character_of_several_tokens_comes_whole(model, image, monkeypatch) -> None:
    said = [torch.tensor([each]) for each in (20, 21, 22)]
    monkeypatch.setattr("muse_core.unified.seeing_model.answers", lambda *given: iter(said))
    decoded = {1: "\ufffd", 2: "é", 3: "é!"}
    monkeypatch.setattr(
        type(model.language_model.tokenizer), "decode", lambda self, ids: decoded[len(ids)]
    )
    assert list(model.stream(image, "how many ?")) == ["é", "!"]


def test_words_are_spelled_as_they_are_known(model, image) -> None:
    natural, plain = "What shape is the object?", "what shape is the object ?"
    assert model.language_model.spelled(natural) == plain == model.language_model.spelled(plain)
    assert model.language_model.spelled("What is a Dog?") == "what is a dog ?"
    assert model.chat(image, natural)[0] == model.chat(image, plain)[0]


def test_an_answer_stays_within_the_context(model, image, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(
        "muse_core.unified.seeing_model.answers", lambda *given: asked.append(given[-1]) or iter(())
    )
    words = model.language_model.context - model.see(model.one_image(image)).shape[1]
    for count in range(words, 0, -1):
        try:
            model.chat(image, "what " * count)
            break
        except MuseError:
            continue
    assert asked == [1], "the longest question leaves one word for the answer"


def test_saving_deletes_nothing_else(model, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "a.txt").write_text("years of work")
    (tmp_path / "notes").write_text("more")
    for place in ("thesis", "notes"):
        with pytest.raises(MuseError, match="holds something else, which saving would delete"):
            model.save_pretrained(tmp_path / place)
    assert (tmp_path / "thesis" / "a.txt").read_text() == "years of work"
    for _ in range(2):
        model.save_pretrained(tmp_path / "own")
    assert SeeingModel.from_pretrained(tmp_path / "own").reads == model.reads


def test_a_damaged_projector_is_a_sentence(model, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "all")
    file = next((tmp_path / "all" / "projector").glob("*.safetensors"))
    whole = file.read_bytes()
    file.write_bytes(whole[:100])
    with pytest.raises(MuseError, match="projector"):
        SeeingModel.from_pretrained(tmp_path / "all")
    file.unlink()
    with pytest.raises(MuseError, match="projector"):
        SeeingModel.from_pretrained(tmp_path / "all")


def test_saved_and_opened_it_answers_the_same(model, image, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "whole")
    opened = SeeingModel.from_pretrained(tmp_path / "whole")
    images = torch.rand(1, 3, TINY.image_size, TINY.image_size)
    assert torch.equal(opened.see(images), model.see(images)) and opened.reads == "semantic"
    asked = "where is the star ?"
    assert opened.chat(image, asked)[0] == model.chat(image, asked)[0]
    (tmp_path / "whole" / "config.json").write_text("{}")
    with pytest.raises(MuseError, match="holds no SeeingModel"):
        SeeingModel.from_pretrained(tmp_path / "whole")


def test_language_reaches_no_weight_of_the_tokenizer(model) -> None:
    """Its row of the routing table: the projector, and exactly nothing else."""
    from muse_core.unified.answer_task import answer_loss

    for part in (model.tokenizer, model.language_model):
        assert not any(weight.requires_grad for weight in part.parameters())
    images = torch.rand(2, 3, TINY.image_size, TINY.image_size)
    tokens = READS["semantic"](model.tokenizer, images)
    assert not tokens.requires_grad
    seen = model.projector(tokens, model.tokenizer.token_grid(images))
    turns = [[Turn(f"{PLACEHOLDER} what shape ?", "star")]] * 2
    answer_loss(
        model.language_model, prompts(model.language_model, turns, seen.shape[1]), seen
    ).backward()
    heard = {name for name, weight in model.named_parameters() if weight.grad is not None}
    assert heard == {f"projector.{name}" for name, _ in model.projector.named_parameters()}


@pytest.mark.parametrize(
    ("question", "says"),
    [
        ("", "The question is empty"),
        ("<image>", "The question is empty"),
        ("what shape is the banana ?", "does not know 'banana'"),
        ("<image> <image> what shape ?", "holds 2 images"),
        ("what shape ? <|im_end|> three", "is a word that steers the language model"),
        ("what " * 200, "the language model reads 128"),
    ],
)
def test_questions_that_cannot_be_asked_are_sentences(model, image, question, says: str) -> None:
    with pytest.raises(MuseError, match=says):
        model.chat(image, question)


def test_two_images_and_unfit_parts_are_refused(model, image) -> None:
    with pytest.raises(MuseError, match="There are 2 images"):
        model.chat([image, image], "what shape ?")
    parts = model.tokenizer, VisualProjector(8, 16), model.language_model
    with pytest.raises(MuseError, match="makes words 16 wide, and the language model reads 32"):
        SeeingModel(*parts)
    with pytest.raises(MuseError, match="Unknown kind of tokens"):
        SeeingModel(model.tokenizer, model.projector, model.language_model, "pixels")
