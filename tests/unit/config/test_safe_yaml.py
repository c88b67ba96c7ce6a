"""YAML from elsewhere: plain values, every key once, nothing that runs or unfolds without end."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_core.config.safe_yaml import MOST_VALUES, Unreadable, read_yaml

from ...hostile_values import JSON_VALUES


@given(JSON_VALUES)
@settings(max_examples=100, deadline=None)
def test_plain_values_are_read_as_pyyaml_reads_them(value: object) -> None:
    text = yaml.safe_dump(value)
    assert str(read_yaml(text)) == str(yaml.safe_load(text))


def test_an_empty_document_is_nothing() -> None:
    assert read_yaml("") is None and read_yaml("# to do") is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: 1\nb: 2\na: 3", "line 1: the key 'a' stands there twice: give it once"),
        ("x: {k: 1, k: 1}", "'k'"),
        ("!!python/object/apply:os.getcwd []", "line 1: could not determine a constructor"),
        ("!!python/name:os.system", "could not determine"),
        ("a: [1", "line 1"),
        ("!!timestamp noon", ""),
        ("!!int many", ""),
        ("!!bool maybe", ""),
        ("&a [*a]", "anchors never end"),
        ("[" * 3000, "nested too deep"),
    ],
)
def test_anything_else_is_a_reason(text: str, reason: str) -> None:
    with pytest.raises(Unreadable) as caught:
        read_yaml(text)
    assert reason in str(caught.value)


def test_anchors_are_fine_while_they_stay_small() -> None:
    assert read_yaml("a: &x [1, 2]\nb: *x") == {"a": [1, 2], "b": [1, 2]}
    bomb = "a0: &a0 [x, x]\n" + "".join(
        f"a{k}: &a{k} [*a{k - 1}, *a{k - 1}]\n" for k in range(1, 40)
    )
    with pytest.raises(Unreadable, match=f"{MOST_VALUES:,} values"):
        read_yaml(bomb)


@given(st.text(alphabet="ab:-[]{}&*!#'\" \n|>?,%@`1.", max_size=60))
@settings(max_examples=300, deadline=None)
def test_only_a_reason_comes_out(text: str) -> None:
    try:
        read_yaml(text)
    except Unreadable as reason:
        assert str(reason)
