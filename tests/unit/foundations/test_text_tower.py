import pytest
import torch

from muse_core.errors import MuseError
from muse_core.foundations.text_tower import TextTower, text_embeddings

CAPTIONS = [
    "a red star",
    "a small blue circle left of a very large green striped hourglass",
    "a ring",
]


@pytest.fixture(scope="module")
def tower() -> TextTower:
    from ...integration.micro import small_text_tower

    torch.manual_seed(0)
    return small_text_tower()


def test_padding_does_not_change_an_embedding(tower) -> None:
    together = text_embeddings(tower, CAPTIONS)
    alone = torch.cat([text_embeddings(tower, [caption]) for caption in CAPTIONS])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    assert together.shape == (3, tower.width) and not together.requires_grad
    assert (together[0] - together[2]).abs().max() > 1e-3, "captions are told apart"


def test_a_text_longer_than_the_context_is_cut_and_words_never_seen_are_read(tower) -> None:
    long, odd = "a red star " * 100, "ein Hörnchen für 3 € 🙂"
    assert torch.isfinite(text_embeddings(tower, [long, odd, ""])).all()


def test_it_comes_back_from_its_folder(tower, tmp_path) -> None:
    tower.save_pretrained(tmp_path)
    loaded = TextTower.from_pretrained(tmp_path).eval()
    assert torch.equal(text_embeddings(loaded, CAPTIONS), text_embeddings(tower, CAPTIONS))


def test_a_folder_that_does_not_exist_is_a_sentence(tmp_path) -> None:
    with pytest.raises(MuseError, match=r"The text tower folder .* does not exist"):
        TextTower.from_pretrained(tmp_path / "nowhere")


def test_captions_that_are_cut_are_counted(tower) -> None:
    before = tower.truncated
    text_embeddings(tower, ["a red star", "a red star " * 100, "a ring", "a blue ring " * 50])
    assert tower.truncated == before + 2
