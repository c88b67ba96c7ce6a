"""The official layout is read and written; what is missing is named and the rest runs; both
accuracies.
"""

from pathlib import Path

import pytest
import torch
from PIL import Image

from muse_core.errors import MuseError
from muse_core.unified.mmvp import (
    IMAGES,
    QUESTIONS,
    Item,
    mmvp_scores,
    option_scores,
    read_mmvp,
    write_mmvp,
)

from .small_language import small_language_model

PUBLISHED = """\
lndex,Question,Options,Correct Answer
1,"Are the butterfly's wings closer to being open or closed?",(a) Open (b) Closed,(a)
2,"Are the butterfly's wings closer to being open or closed?",(a) Open (b) Closed,(b)
3,"Is the dog facing left or right, from the camera's perspective?",(a) Left (b) Right (in profile),(b)
4,Where is the dog?,(a) Left (b) Right,(a)
"""
"""Lines in the form of the published file."""


def layout(folder: Path, text: str = PUBLISHED, count: int = 4) -> Path:
    (folder / IMAGES).mkdir(parents=True)
    (folder / QUESTIONS).write_text(text)
    for index in range(1, count + 1):
        Image.new("RGB", (8, 8)).save(folder / IMAGES / f"{index}.jpg")
    return folder


def test_the_published_form_is_read(tmp_path: Path) -> None:
    found = read_mmvp(layout(tmp_path / "mmvp"))
    assert [item.index for item in found.items] == [1, 2, 3, 4] and found.notes == ()
    assert [item.answer for item in found.items] == [0, 1, 1, 0]
    assert [item.pair for item in found.items] == [0, 0, 1, 1]
    assert found.items[0].options == ("Open", "Closed")
    assert found.items[2].options == ("Left", "Right (in profile)")
    assert found.items[3].image.name == "4.jpg"


def test_what_is_missing_is_named_and_the_rest_stays(tmp_path: Path) -> None:
    text = PUBLISHED + "x,Why?,(a) b (b) c,(a)\n6,Why?,yes or no,(a)\n7,Why?,(a) b (b) c,(c)\n"
    found = read_mmvp(layout(tmp_path / "mmvp", text, count=3))
    assert [item.index for item in found.items] == [1, 2, 3]
    assert len(found.notes) == 4
    assert "line 5" in found.notes[0] and "MMVP Images/4.jpg is missing" in found.notes[0]
    assert "its index is 'x'" in found.notes[1] and "no (a) and (b)" in found.notes[2]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("²,What ?,(a) x (b) y,(a)", "its index is '²'"),
        (f"{'9' * 50},What ?,(a) x (b) y,(a)", "its index is"),
        ("1,What ?,(a) x (b) y (a) z,(a)", "its options or its answer"),
        ("1,What ?,(a) (b) y,(a)", "its options or its answer"),
        ("1,What ?,(a) x (b) x,(a)", "its options or its answer"),
        ("1,,(a) x (b) y,(a)", "it asks nothing"),
    ],
)
def test_an_item_that_cannot_be_scored_is_noted_with_its_line(tmp_path: Path, line, why) -> None:
    text = f"INDEX,question,Options,Correct Answer\n\n{line}\n2,What ?,(A) Open (B) Closed,(B)\n"
    found = read_mmvp(layout(tmp_path, text))
    assert [item.options for item in found.items] == [("Open", "Closed")]
    assert found.items[0].answer == 1
    assert found.notes[0].startswith("line 3 of Questions.csv") and why in found.notes[0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Index,Question,Options\n", "has no column Correct Answer: its columns are Index"),
        ("", "has no column Index, Question, Options, Correct Answer: its columns are none"),
        ("Index,Question,Options,Correct Answer\n", "No item of .* is whole: it has none"),
    ],
)
def test_a_file_without_columns_or_items_is_a_sentence(tmp_path: Path, text, says: str) -> None:
    with pytest.raises(MuseError, match=says):
        read_mmvp(layout(tmp_path / "mmvp", text))


def test_no_folder_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(MuseError, match=r"Questions.csv: FileNotFoundError"):
        read_mmvp(tmp_path)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    items = [
        Item(index, tmp_path, "what colour ?", ("red", "top left"), index % 2)
        for index in range(1, 5)
    ]
    pictures = [Image.new("RGB", (16, 16), (40 * index, 80, 0)) for index in range(1, 5)]
    found = read_mmvp(write_mmvp(tmp_path / "own", items, pictures))
    assert [(i.question, i.options, i.answer) for i in found.items] == [
        (i.question, i.options, i.answer) for i in items
    ]
    with Image.open(found.items[2].image) as opened:
        assert abs(opened.getpixel((8, 8))[0] - 120) <= 3


def test_an_index_that_was_there_before_is_noted(tmp_path: Path) -> None:
    again = PUBLISHED + PUBLISHED.splitlines()[1] + "\n"
    found = read_mmvp(layout(tmp_path, again))
    assert len(found.items) == 4
    assert found.notes == ("line 6 of Questions.csv: its index 1 was there before",)


def test_pairs_count_where_both_are_right() -> None:
    items = [
        Item(i, Path(), "", ("a", "b"), 0, "colour" if i < 3 else "count") for i in range(1, 7)
    ]
    found = mmvp_scores(items, [0, 0, 0, 1, 1, 1])
    assert found.questions == 0.5 and found.pairs == pytest.approx(1 / 3)
    assert found.by_pattern == {"colour": 1.0, "count": 0.0}
    assert found.right == (True, True, True, False, False, False)
    half = mmvp_scores(items[:3], [0, 0, 0])
    assert half.pairs == 1.0, "an item without its other is no pair"
    with pytest.raises(MuseError, match="no whole pair"):
        mmvp_scores(items[:1], [0])


def test_an_option_scores_as_likely_as_its_words() -> None:
    torch.manual_seed(0)
    model, image = small_language_model(), torch.randn(1, 4, 32)
    options = ("red", "top left")
    found = option_scores(model, image, "what colour ?", options)
    for score, option in zip(found, options, strict=True):
        alone = option_scores(model, image, "what colour ?", [option])
        torch.testing.assert_close(score, alone[0], rtol=1e-4, atol=1e-5)
    assert (found < 0).all() and found[0] != found[1]
