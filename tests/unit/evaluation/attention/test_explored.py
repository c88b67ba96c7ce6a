"""What the explorer shows of a set of networks, and what a dropped image changes."""

import base64
import gzip
import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from muse_core.data.own_images import own_images
from muse_core.errors import MuseError
from muse_core.evaluation.attention.explored import ExploredAttention
from muse_core.evaluation.attention.run_attention import student_network
from tests.integration.micro import small_text_tower
from tests.unit.models.small_models import TINY, small_tokenizer

from ..small_evaluations import small_extractor


@pytest.fixture(scope="module")
def explored() -> ExploredAttention:
    tokenizer = small_extractor().network
    networks = [student_network("before", tokenizer), student_network("after", tokenizer)]
    return ExploredAttention(networks, own_images("cat, coffee", 32))


def test_a_selection_gives_what_the_explorer_shows(explored) -> None:
    widget = explored.widget()
    found = explored.looked_at(widget.selection)
    expected = explored.views[0].maps[0, -1].mean(0)[widget.selection["patch"]]
    torch.testing.assert_close(torch.from_numpy(found["before"]).flatten(), expected)


def test_a_dropped_image_is_looked_at_by_everybody(explored) -> None:
    content = io.BytesIO()
    Image.new("RGB", (80, 40), "teal").save(content, "PNG")
    data = explored.add("x.png", content.getvalue())
    assert data["names"] == ["cat", "coffee", "x.png"] == list(explored.shown.names)
    assert {len(view.maps) for view in explored.views} == {3}
    assert {len(view.tokens) for view in explored.features} == {3}


def test_a_typed_word_is_compared_with_every_patch() -> None:
    tower = small_text_tower()
    width = tower(["a"]).shape[-1]
    tokenizer = small_tokenizer(replace(TINY, embedding_width=width)).eval()
    networks = [student_network("after", tokenizer)]
    shown = own_images("cat, coffee", 32)
    explored = ExploredAttention(networks, shown, text=tower, words=["a circle"])
    assert explored.data["words"] == ["a circle"]
    data = explored.add_word("red")
    assert data["words"] == ["a circle", "red"]
    packed = next(view["words"] for view in data["features"] if "words" in view)
    stored = np.frombuffer(gzip.decompress(base64.b64decode(packed)), np.uint8) / 127.5 - 1
    patches = next(view for view in explored.features if view.projected is not None).projected
    truth = torch.cosine_similarity(tower(["red"])[:, None], patches[1:], dim=-1)
    assert np.abs(stored.reshape(2, 2, -1)[1, 1] - truth[0].detach().numpy()).max() < 1 / 127
    with pytest.raises(MuseError, match="among the words already"):
        explored.add_word("red")
    assert explored.data["words"] == ["a circle", "red"]


def test_without_a_text_tower_no_word_is_asked_for(explored) -> None:
    assert explored.widget().asks == ["image"]
    with pytest.raises(MuseError, match="No text tower"):
        explored.add_word("red")


def test_what_is_no_image_is_one_sentence_and_changes_nothing(explored) -> None:
    names = explored.shown.names
    with pytest.raises(MuseError, match="cannot be used as an image"):
        explored.add("x.png", b"words")
    assert explored.shown.names == names
