"""The page of one's own pictures: what it shows is what the tokenizer says, and it says what it
cannot show."""

import re
from html import unescape
from pathlib import Path

import pytest
import torch
from PIL import Image

from muse_core.config.overrides import load_preset
from muse_core.data.own_images import own_images
from muse_core.errors import MuseError
from muse_core.evaluation.attention.run_attention import untrained_tokenizer
from muse_core.evaluation.reconstruction.pixel_metrics import psnr
from muse_core.foundations.drawn import drawn_only, of_photographs
from muse_core.foundations.text_tower import TextTower
from muse_core.models.image_processor import MuseImageProcessor
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.report.html import external_requests
from muse_core.report.look import _anchored, look
from muse_core.training.named_tokenizer import NamedTokenizer


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> NamedTokenizer:
    folder = tmp_path_factory.mktemp("saved") / "mine"
    untrained_tokenizer(load_preset("tiny"), "a-run-that-does-not-exist").save_pretrained(folder)
    return NamedTokenizer(str(folder))


@pytest.fixture(scope="module")
def page(saved: NamedTokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("look")
    return look(["cat", "coffee"], saved, into, preset="tiny", device="cpu")


@pytest.fixture(scope="module")
def tokenizer(saved: NamedTokenizer) -> MuseTokenizer:
    return saved.load()


def test_the_page_asks_the_network_for_nothing_and_says_what_it_shows(page, tokenizer) -> None:
    text = page.read_text()
    assert re.fullmatch(r"cat-coffee-mine-[0-9a-f]{6}\.html", page.name)
    assert external_requests(text) == []
    assert "data-muse-explorer" in text and f"8 × 8 × {tokenizer.latent_channels} numbers" in text
    assert "<h2>cat</h2>" in text and "reduced to 64 × 64" in text


def test_other_pictures_of_the_same_names_get_a_page_of_their_own(saved, tmp_path) -> None:
    pages = []
    for folder, seed in (("a", 10), ("b", 200)):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (64, 64), (seed, 0, 0)).save(tmp_path / folder / "x.png")
        given = [str(tmp_path / folder / "x.png")]
        options = dict(preset="tiny", words="a cat", device="cpu")
        pages.append(look(given, saved, tmp_path, **options))
    assert len({*pages}) == 2 and look(given, saved, tmp_path, **options) == pages[1]


def test_a_preset_that_is_none_is_refused(saved, tmp_path) -> None:
    with pytest.raises(MuseError, match="Unknown preset 'tyni'"):
        look(["cat"], saved, tmp_path, preset="tyni", device="cpu")
    assert [*tmp_path.iterdir()] == []


def test_psnr_is_that_of_the_reconstructions(page, tokenizer) -> None:
    images = own_images("cat, coffee", 64).images
    truth = psnr(tokenizer(images).reconstruction, images).tolist()
    shown = re.findall(r"reconstruction, ([\d.]+) dB", page.read_text())
    assert shown == [f"{value:.1f}" for value in truth]


def test_the_nearest_words_are_those_of_the_presets_tower(page, tokenizer) -> None:
    lists = re.findall(r"<ol>(.*?)</ol>", page.read_text(), re.DOTALL)
    tower = TextTower.from_pretrained(load_preset("tiny").foundations.text_tower)
    embeddings = tokenizer.encode_image(["cat", "coffee"]).embedding
    for listed, embedding in zip(lists, embeddings, strict=True):
        found = re.findall(r"<li>([\w ]+) <small>(−?[\d.]+)</small>", listed)
        assert len(found) == 5
        with torch.no_grad():
            near = torch.cosine_similarity(tower([word for word, _ in found]), embedding[None])
            far = torch.cosine_similarity(tower(["a plain circle"]), embedding[None])
        assert [f"{value:.2f}".replace("-", "−") for value in near] == [text for _, text in found]
        assert near.tolist() == sorted(near.tolist(), reverse=True) and near[-1] >= far - 1e-6


def test_words_can_be_given_and_pictures_padded(saved, tmp_path) -> None:
    options = dict(preset="tiny", words="a red star, a blue heart", fit="pad", device="cpu")
    text = look(["cat"], saved, tmp_path, **options).read_text()
    assert set(re.findall(r"<li>([\w ]+) <small>", text)) == {"a red star", "a blue heart"}
    assert "padded to a square with grey" in text


def test_it_says_when_the_foundations_have_seen_drawings_alone(page) -> None:
    assert drawn_only(load_preset("tiny")) == ["backbone", "teacher", "text tower"]
    others = of_photographs()
    assert "muse-1b" in others and "tiny" not in others
    text = " ".join(page.read_text().split())
    assert "The backbone, teacher, text tower of this tokenizer have seen drawn scenes only" in text
    assert f"trained on photographs: {', '.join(others)}." in text


def test_without_a_preset_there_is_less_to_see_and_the_page_says_why(saved, tmp_path) -> None:
    text = look(["cat"], saved, tmp_path, device="cpu").read_text()
    assert "Without teacher and words: Nothing says what" in text and "--preset" in text
    assert "Nearest words" not in text and "data-muse-explorer" in text
    assert "drawn scenes" not in text


def test_a_text_tower_of_another_width_is_left_out_with_a_sentence(tmp_path) -> None:
    from tests.unit.models.small_models import small_tokenizer

    tokenizer = small_tokenizer()
    tokenizer.image_processor = MuseImageProcessor(32, "pad")
    tokenizer.save_pretrained(tmp_path / "small")
    named = NamedTokenizer(str(tmp_path / "small"))
    text = unescape(look(["cat"], named, tmp_path, preset="tiny", device="cpu").read_text())
    assert "Without words: the text tower of preset 'tiny' is" in text
    assert "teacher, resized" in text and "padded to a square" in text


def test_words_are_random_until_a_stage_has_trained_them() -> None:
    preset = load_preset("tiny")
    first, second, third = (stage.name for stage in preset.curriculum)
    assert [_anchored(preset, stage) for stage in (first, second, third, "")] == [
        False,
        True,
        True,
        True,
    ]


def test_a_picture_that_is_none_is_a_sentence(saved, tmp_path) -> None:
    with pytest.raises(MuseError, match="There is no image file"):
        look(["nowhere.png"], saved, tmp_path, device="cpu")
    assert not list(tmp_path.iterdir())


def test_names_are_words_on_the_page(saved, tmp_path) -> None:
    from PIL import Image

    name = "<script>alert(1)</script>.png"
    file = tmp_path / name.replace("/", "-")
    Image.new("RGB", (9, 9)).save(file)
    page = look([str(file)], saved, tmp_path, device="cpu")
    assert "<script>alert" not in page.read_text() and page.parent == tmp_path
