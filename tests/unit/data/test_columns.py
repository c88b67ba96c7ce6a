import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse_core.data.batch import NO_LABEL
from muse_core.data.columns import (
    MOST_CHARACTERS,
    Columns,
    captions_in,
    columns_of,
    parsed_json,
)
from muse_core.data.decode import Unreadable
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
        (["a", " ", 3, "b"], ("a", "b")),
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


@pytest.mark.parametrize("value", [3, None, {"captions": 3}, {"json": {"text": 1.5}}])
def test_other_values_are_refused(value) -> None:
    with pytest.raises(ValueError, match="a text or a list"):
        captions_in(value)


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_whatever_it_is_it_is_json_or_a_value_error(text) -> None:
    with contextlib.suppress(ValueError):
        parsed_json(text)


def test_lists_in_lists_beyond_python_s_depth() -> None:
    for text in ("[" * 200_000, '{"a":' * 100_000):
        with pytest.raises(ValueError, match=r"\w"):
            parsed_json(text)


def test_columns_are_found_by_name() -> None:
    found = columns_of("hf:x", {"url": None, "jpg": None, "text": None})
    assert found == Columns("jpg", "text", None, ()) and found.names == ["jpg", "text"]
    assert found.captions_of({"text": ["a", "b"]}) == ("a", "b") and found.captions_of({}) == ()
    with pytest.raises(Unreadable, match="its text is no text"):
        found.captions_of({"text": 3})
    with pytest.raises(MuseError, match=r"hf:x has no column of images \(it has: words\)"):
        columns_of("hf:x", {"words": None})


@pytest.mark.parametrize(("value", "label"), [(0, 0), (1, 1), (2, NO_LABEL), (-1, NO_LABEL)])
def test_labels_are_those_with_a_name(value, label) -> None:
    columns = Columns("image", None, "label", ("even", "odd"))
    assert columns.label_of({"label": value}) == label and columns.label_of({}) == NO_LABEL
    assert columns.label_of({"label": "even"}) == NO_LABEL
