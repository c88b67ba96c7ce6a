"""The language model that lies in the repository is as good as its card says."""

from muse_core import paths
from muse_core.data.scenes import Scenes
from muse_core.foundations.language_model import LanguageModel
from muse_core.results.records import read_json
from scripts.tiny_foundations.language_model import answered_from_words

FOLDER = paths.foundations("tiny")


def test_it_answers_as_its_card_says_and_knows_every_fact() -> None:
    card = read_json(FOLDER / "card.json")["quality"]["answers"]
    model = LanguageModel.from_pretrained(FOLDER / "language_model")
    found = answered_from_words(model, Scenes("val"), 60)
    assert found["facts"] == card["facts"] == 1.0
    # Sixty scenes: two standard errors of a share near 0.92 are 0.024.
    assert abs(found["answers"] - card["answers"]) < 0.03
    assert min(found[kind] for kind in ("shape", "colour", "presence", "size")) > 0.9


def test_it_is_small_enough_for_the_repository() -> None:
    files = [file for file in (FOLDER / "language_model").rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 6e6
    model = LanguageModel.from_pretrained(FOLDER / "language_model")
    assert 0.9e6 < sum(weight.numel() for weight in model.parameters()) < 1.2e6
    assert model.unknown_words("what shape is the banana ?") == ["banana"]
