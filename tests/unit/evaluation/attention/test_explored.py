"""What the explorer shows of a set of networks, and what a dropped image changes."""

import io

import pytest
import torch
from PIL import Image

from muse_core.data.own_images import own_images
from muse_core.errors import MuseError
from muse_core.evaluation.attention.explored import ExploredAttention
from muse_core.evaluation.attention.run_attention import student_network

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


def test_what_is_no_image_is_one_sentence_and_changes_nothing(explored) -> None:
    names = explored.shown.names
    with pytest.raises(MuseError, match="cannot be used as an image"):
        explored.add("x.png", b"words")
    assert explored.shown.names == names
