import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse_core.data.batch import NO_LABEL
from muse_core.data.columns import (
    MOST_CHARACTERS,
    Columns,
    captions_in,
    class_order,
    columns_of,
    known,
    label_in,
    unread_words,
)
from muse_core.data.decode import Unreadable
from muse_core.data.notes import Notes
from muse_core.errors import MuseError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["captions", "text", "json", "x"]), inner, max_size=3)
    ),
)


@given(JSON)
def test_captions_are_texts_a_tokenizer_takes_or_a_value_error(value) -> None:
    with contextlib.suppress(ValueError):
        assert all(text == text.strip() and text.encode() for text in captions_in(value))


@pytest.mark.parametrize(
    ("value", "captions"),
    [
        ("a cat ", ("a cat",)),
        (["a", " ", None, "b", "a"], ("a", "b")),
        ([{"raw": "a", "tokens": ["a"]}, {"raw": "b"}], ("a", "b")),
        ({"Captions": {"text": ["a"]}}, ("a",)),
        ({"caption": float("nan"), "prompt": "a"}, ("a",)),
        ([float("nan")], ()),
        ({"caption": ["a"], "url": "x"}, ("a",)),
        ({"captions": [], "text": "a"}, ("a",)),
        ({"url": "x"}, ()),
        ("a \ud800 cat", ("a ? cat",)),
        ("<svg onload=alert(1)>", ("<svg onload=alert(1)>",)),
        ("x" * (2 * MOST_CHARACTERS), ("x" * MOST_CHARACTERS,)),
    ],
)
def test_where_captions_stand(value, captions) -> None:
    assert captions_in(value) == captions


@pytest.mark.parametrize("value", [3, None, ["a", 3], {"captions": 3}, {"json": {"text": 1.5}}])
def test_other_values_are_refused(value) -> None:
    with pytest.raises(ValueError, match="a text or a list"):
        captions_in(value)


def test_columns_are_found_by_name() -> None:
    found = columns_of("hf:x", {"url": None, "jpg": None, "text": None}, Notes())
    assert found == Columns("jpg", "text", None, ()) and found.names == ["jpg", "text"]
    assert found.captions_of({"text": ["a", "b"]}) == ("a", "b") and found.captions_of({}) == ()
    with pytest.raises(Unreadable, match="its text is no text"):
        found.captions_of({"text": 3})
    with pytest.raises(MuseError, match=r"hf:x has no column of images \(it has: words\)"):
        columns_of("hf:x", {"words": None}, Notes())


class Text:
    dtype = "string"


@pytest.mark.parametrize("name", ["Caption", "TEXT", "alt-text", "Long Caption", "prompts"])
def test_columns_of_words_go_by_any_spelling(name) -> None:
    notes = Notes()
    assert columns_of("hf:x", {"Image": None, name: Text}, notes).captions == name
    assert notes.lines() == ()


def test_words_that_are_not_read_are_noted_and_can_be_asked_for() -> None:
    features = {"image": None, "en": Text, "de": Text}
    notes = Notes()
    assert columns_of("hf:x", features, notes).captions is None
    assert notes.lines() == (
        "1 column of words: en; ask for it with ?column=en",
        "1 column of words: de; ask for it with ?column=de",
    )
    asked = Notes()
    assert columns_of("hf:x", features, asked, {"column": "de"}).captions == "de"
    assert [line.split("; ")[0] for line in asked.lines()] == ["1 column of words: en"]
    with pytest.raises(
        MuseError, match=r"Unknown column of hf:x 'fr': choose one of image, en, de"
    ):
        columns_of("hf:x", features, Notes(), {"column": "fr"})


@pytest.mark.parametrize(
    ("value", "label"),
    [
        *[("owl ", "owl"), (3, "3"), (3.0, "3"), (["owl"], "owl"), (0, "0")],
        *[(float("nan"), None), (None, None), ("", None), (-1, None), (["a", "b"], None)],
        *[({"a": 1}, None), (2.5, None)],
    ],
)
def test_what_names_one_class(value, label) -> None:
    assert label_in(value) == label


def test_classes_in_order_numbers_as_numbers() -> None:
    assert class_order(["10", "9", None, "9"]) == ("9", "10")
    assert class_order(["b", "10", "a"]) == ("10", "a", "b")
    assert known(["B", "a"], ("a", "b")) == ["a", "B"]


@pytest.mark.parametrize(("value", "label"), [(0, 0), (1, 1), (2, NO_LABEL), (-1, NO_LABEL)])
def test_labels_are_those_with_a_name(value, label) -> None:
    columns = Columns("image", None, "label", ("even", "odd"))
    assert columns.label_of({"label": value}) == label and columns.label_of({}) == NO_LABEL
    assert columns.label_of({"label": "even"}) == NO_LABEL
    words = Columns("image", None, "label", ("ant", "cat"), ("ant", "cat"))
    assert words.label_of({"label": "cat"}) == 1 and words.label_of({"label": "owl"}) == NO_LABEL


@pytest.mark.parametrize(
    ("text", "captions"),
    [
        ('["a cat", "a dog"]', ("a cat", "a dog")),
        ("['a cat', \"a dog's\"]", ("a cat", "a dog's")),
        ('{"caption": "a cat", "id": 3}', ("a cat",)),
        ('{"id": 3}', ('{"id": 3}',)),
        ("[a cat]", ("[a cat]",)),
        ("[1, 2]", ("[1, 2]",)),
        ("[\"['a']\"]", ("[\"['a']\"]",)),
        ("[" * 5000 + "]", ("[" * 5000 + "]",)),
    ],
)
def test_captions_that_are_packed_in_a_text(text, captions) -> None:
    assert captions_in(text) == captions


def test_fields_that_are_called_like_words() -> None:
    assert unread_words(["text", "Short Caption", "url", "alt"], ["alt"]) == [
        "text",
        "Short Caption",
    ]
