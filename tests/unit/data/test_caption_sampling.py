import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse_core.data.caption_sampling import (
    LONG_CAPTION,
    MOST_CHARACTERS,
    clean_captions,
    picked_caption,
)

SENTENCES = [
    f"Sentence {number} has a few words about what the picture shows." for number in range(8)
]
LONG = " ".join(SENTENCES)


def test_one_of_several_by_seed_and_name() -> None:
    captions = tuple("abcdef")
    assert picked_caption(captions, "1.jpg", 0) == picked_caption(captions, "1.jpg", 0)
    assert {picked_caption(captions, f"{name}.jpg", 0) for name in range(60)} == set(captions)
    assert any(
        picked_caption(captions, f"{name}.jpg", 0) != picked_caption(captions, f"{name}.jpg", 1)
        for name in range(9)
    )


def test_a_long_caption_gives_one_of_its_sentences() -> None:
    assert len(LONG.split()) > LONG_CAPTION
    assert {picked_caption((LONG,), str(name), 0) for name in range(200)} == set(SENTENCES)
    assert picked_caption((LONG,), "x", 3, whole=True) == LONG
    assert picked_caption(("\n".join(SENTENCES).replace(".", ""),), "x", 0) in [
        text[:-1] for text in SENTENCES
    ]


def test_a_short_caption_stays_whole() -> None:
    short = "A cat. On a mat."
    assert picked_caption((short,), "x", 0) == short
    endless = "word " * 200
    assert picked_caption((endless.strip(),), "x", 0) == endless.strip(), (
        "there is nothing to cut it at"
    )


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner, max_size=4),
    )
)
def test_captions_are_texts_a_tokenizer_takes_or_a_value_error(value) -> None:
    try:
        captions = clean_captions(value)
    except ValueError:
        assert not isinstance(value, str | list)
        return
    assert all(text == text.strip() and text.encode() for text in captions)
    if captions:
        assert picked_caption(captions, "name", 0)


def test_half_a_surrogate_pair_and_a_book() -> None:
    assert clean_captions("a \ud800 cat ") == ("a ? cat",)
    assert len(clean_captions("x" * (2 * MOST_CHARACTERS))[0]) == MOST_CHARACTERS
    assert clean_captions("<svg onload=alert(1)>") == ("<svg onload=alert(1)>",), "words are words"


def test_other_values_are_refused() -> None:
    for value in (3, {"a": 1}, None):
        with pytest.raises(ValueError, match="a text or a list"):
            clean_captions(value)
