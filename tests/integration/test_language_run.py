"""A projector by names: for each kind of tokens trained, measured, and at once where it is trained
already.
"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from muse_core.config.overrides import load_preset
from muse_core.config.stage import LanguageStage
from muse_core.data.scenes import Scenes
from muse_core.errors import MuseError
from muse_core.evaluation.feature_extractors import AutoencoderExtractor, TokenizerExtractor
from muse_core.evaluation.run_rows import frozen_backbone
from muse_core.evaluation.understanding.answers import measured_answers
from muse_core.evaluation.understanding.pair_answers import drawn_pairs, measured_pairs
from muse_core.evaluation.understanding.sights import READ, sight_of
from muse_core.foundations.pixel_decoder import load_autoencoder
from muse_core.models.gradient_routes import READER_ROUTES, Route
from muse_core.models.weight_groups import group_of
from muse_core.unified.answer_task import answer_loss
from muse_core.unified.conversation import PLACEHOLDER, Turn, prompts
from muse_core.unified.language_run import LanguageRun, OpenedLanguage
from muse_core.unified.seeing_model import SeeingModel
from muse_core.unified.sight import InWords, Sight
from tests.unit.unified.small_language import small_language_model

from .micro import PRESET

STAGE = LanguageStage(
    name="10_unified",
    learning_rate=3e-3,
    steps=3,
    batch_size=8,
    images=12,
    image_side=2,
    checkpoint_every=9,
)


def opened(tokens: str, sight: Sight, **options) -> OpenedLanguage:
    named = LanguageRun(run="talks", preset=PRESET, tokens=tokens, device="cpu", **options)
    torch.manual_seed(0)
    return named.open(STAGE, small_language_model(), sight)


def of_muse(whole) -> TokenizerExtractor:
    return TokenizerExtractor("whole", whole["03_synergistic_tuning"].tokenizer.eval(), "whole")


@pytest.mark.parametrize("read", [*READ, "words"])
def test_each_kind_of_tokens_is_read_and_measured(micro, whole, read: str) -> None:
    sight = InWords(4) if read == "words" else sight_of(of_muse(whole), read)
    one = opened(read, sight)
    result = one.fit()
    assert result.record.stage == "10_unified" and result.record.steps == 3
    test = one.asked("val", 6)
    measured = measured_answers(one.language_model, result.network, test)
    assert measured["answers"].n == len(test.asked) and 0 <= measured["answers"].value <= 1
    assert opened(read, sight).fit().record == result.record


@pytest.mark.parametrize("read", READ)
def test_an_answer_touches_of_the_tokenizer_what_its_row_of_the_table_says(
    micro, whole, read: str
) -> None:
    tokenizer = whole["03_synergistic_tuning"].tokenizer.requires_grad_(True)
    one = opened(read, sight_of(TokenizerExtractor("whole", tokenizer, "whole"), read))
    task = one.trainer(one.asked("train", 4)).task
    seen, grid = one.sight.see(Scenes("train", 32).parameters([0, 1]), 32)
    asked = prompts(task.language_model, [[Turn(f"{PLACEHOLDER} how many ?", "two")]] * 2, 4)
    answer_loss(task.language_model, asked, task.projector(seen, grid)).backward()
    assert all(weight.grad.any() for weight in task.projector.parameters())
    for name, weight in tokenizer.named_parameters():
        assert READER_ROUTES["answer"][group_of(name)] is Route.NEVER
        assert weight.grad is None or not weight.grad.any(), name
    assert all(weight.grad is None for weight in task.language_model.parameters())


def test_both_are_the_two_side_by_side(micro, whole) -> None:
    extractor, images = of_muse(whole), torch.rand(2, 3, 32, 32)
    semantic, latent, both = (sight_of(extractor, read).at(images)[0] for read in READ)
    torch.testing.assert_close(both, torch.cat([semantic, latent], -1))
    assert semantic.shape[-1] != latent.shape[-1]


def test_a_network_says_which_tokens_it_has_not(micro) -> None:
    preset = load_preset(PRESET)
    backbone = frozen_backbone(preset, "cpu")
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(
        sight_of(backbone, "semantic").at(images)[0], backbone.network(images)
    )
    with pytest.raises(MuseError, match="has no latent"):
        sight_of(backbone, "both")
    network = load_autoencoder(preset.foundations.autoencoder)
    plain = AutoencoderExtractor("plain", network.eval(), "plain")
    assert sight_of(plain, "latent").at(images)[0].shape[-1] == 8
    with pytest.raises(MuseError, match="no tokens but its latent"):
        sight_of(plain, "semantic")
    with pytest.raises(MuseError, match="Unknown kind of tokens 'pixels'"):
        sight_of(plain, "pixels")


def test_pairs_are_answered_from_the_tokens_of_their_own_images(micro, whole) -> None:
    from muse_core.training.teachers import load_teachers

    preset, sight = load_preset(PRESET), sight_of(of_muse(whole), "semantic")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("muse_core.unified.blind_pairs.CANDIDATES", 30)
        projection = torch.nn.Linear(32, 16, bias=False)
        monkeypatch.setattr(
            "muse_core.evaluation.run_rows.image_projection", lambda location: projection
        )
        pairs = drawn_pairs(preset, load_teachers(preset, "cpu").topology, "val", each=1)
    items = [item for at, pair in enumerate(pairs) for item in pair.items(2 * at + 1)]
    seen, grid = zip(*(sight.see(pair.scenes, preset.image_size) for pair in pairs), strict=True)
    torch.testing.assert_close(seen[0], sight.at(pairs[0].images)[0])
    one = opened("semantic", sight)
    asked = one.language_model, one.fit().network
    found = measured_pairs(*asked, items, torch.cat(seen), grid[0])
    assert found["mmvp_pairs"].n == 9 and found["mmvp_questions"].n == 18
    assert set(found["mmvp_pairs"].details) == {pair.pattern for pair in pairs}
    # The same tokens for both images of a pair cannot be right of both.
    blind = torch.cat([each[:1].expand_as(each) for each in seen])
    assert measured_pairs(*asked, items, blind, grid[0])["mmvp_pairs"].value == 0


def test_what_was_trained_chats(micro, whole, tmp_path: Path) -> None:
    one = opened("semantic", sight_of(of_muse(whole), "semantic"))
    tokenizer = whole["03_synergistic_tuning"].tokenizer
    model = SeeingModel(tokenizer, one.fit().network, one.language_model)
    latent = tokenizer.encode(torch.rand(1, 3, 32, 32)).latent
    answer, history = model.chat(tokenizer.decode_image(latent)[0], "how many objects ?")
    assert history[-1].answer == answer
    model.save_pretrained(tmp_path / "talks")
    assert SeeingModel.from_pretrained(tmp_path / "talks").reads == "semantic"


def test_an_image_is_read_as_so_many_words_a_side(micro, whole) -> None:
    one = opened("semantic", sight_of(of_muse(whole), "semantic"))
    train = one.asked("train", 4)
    for side in (1, 2, 4):
        stage = replace(STAGE, image_side=side)
        projector = replace(one, stage=stage).trainer(train).task.projector
        assert projector.image_tokens(train.grid) == side**2


def test_several_processes_are_refused(micro, whole) -> None:
    with pytest.raises(MuseError, match="leave processes at 1"):
        opened("semantic", InWords(4), processes=2)
