"""A projector by names: for each kind of tokens trained, measured, and at once where it is trained
already.
"""

from pathlib import Path

import pytest

from muse_core.config.stage import LanguageStage
from muse_core.errors import MuseError
from muse_core.evaluation.understanding.answers import measured_answers
from muse_core.unified.language_run import TOKENS, LanguageRun
from muse_core.unified.seeing_model import SeeingModel
from tests.unit.unified.small_language import small_language_model

from .micro import PRESET

STAGE = LanguageStage(
    name="10_unified", learning_rate=3e-3, steps=3, batch_size=8, images=12, checkpoint_every=9
)


@pytest.fixture(scope="module")
def language(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("language")
    small_language_model().save_pretrained(folder)
    return str(folder)


def named(tokens: str, **options) -> LanguageRun:
    options = {"tokenizers": "whole"} | options
    return LanguageRun(run="talks", preset=PRESET, tokens=tokens, device="cpu", **options)


@pytest.mark.parametrize("tokens", TOKENS)
def test_each_kind_of_tokens_is_read_and_measured(micro, whole, language, tokens: str) -> None:
    opened = named(tokens).open(STAGE, language)
    result = opened.fit()
    assert result.record.stage == "10_unified" and result.record.steps == 3
    test = opened.asked("val", 6)
    measured = measured_answers(opened.language_model, result.network, test)
    assert measured["answers"].n == len(test.asked) and 0 <= measured["answers"].value <= 1
    again = named(tokens).open(STAGE, language).fit()
    assert again.record == result.record


def test_what_was_trained_chats(micro, whole, language, tmp_path: Path) -> None:
    opened = named("semantic").open(STAGE, language)
    tokenizer = whole["03_synergistic_tuning"].tokenizer
    model = SeeingModel(tokenizer, opened.fit().network, opened.language_model)
    answer, history = model.chat(
        tokenizer.decode_image(_latent(tokenizer))[0], "how many objects ?"
    )
    assert history[-1].answer == answer
    model.save_pretrained(tmp_path / "talks")
    assert SeeingModel.from_pretrained(tmp_path / "talks").reads == "semantic"


def _latent(tokenizer):
    import torch

    return tokenizer.encode(torch.rand(1, 3, 32, 32)).latent


def test_names_of_nothing_are_sentences(micro, language) -> None:
    with pytest.raises(MuseError, match="Unknown kind of tokens 'pixels'"):
        named("pixels").open(STAGE, language)
    with pytest.raises(MuseError, match="leave processes at 1"):
        named("semantic", processes=2).open(STAGE, language)
    with pytest.raises(MuseError, match="Run 'nobody' has no finished 03"):
        named("semantic", tokenizers="nobody").open(STAGE, language).asked("val", 2)
    with pytest.raises(MuseError, match=r"language model folder .* does not exist"):
        named("backbone").open(STAGE, "/nowhere/at/all")
