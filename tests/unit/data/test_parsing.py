import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse_core.data.parsing import is_plain_name, parsed_json, parsed_object


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_whatever_it_is_it_is_json_or_a_value_error(text) -> None:
    with contextlib.suppress(ValueError):
        parsed_json(text)


def test_lists_in_lists_beyond_python_s_depth() -> None:
    for text in ("[" * 200_000, '{"a":' * 100_000):
        with pytest.raises(ValueError, match=r"\w"):
            parsed_json(text)


@pytest.mark.parametrize("text", ["[]", "1", '"a"', "null", ""])
def test_only_an_object_is_an_object(text) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parsed_object(text)
    assert parsed_object('{"a": 1}') == {"a": 1}


@pytest.mark.parametrize(
    "name", ["1.jpg", "./1.jpg", "cats/1.jpg", "a b/ü.jpg", "..jpg", "a..b/1.jpg"]
)
def test_names_inside_the_folder(name) -> None:
    assert is_plain_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "/etc/passwd",
        "//server/1.jpg",
        "../1.jpg",
        "cats/../../1.jpg",
        "a/..",
        "..\\1.jpg",
        "C:\\1.jpg",
        "a\0b",
        "\ud800.jpg",
        "a" * 300,
        "/".join(["a" * 200] * 20),
    ],
)
def test_names_that_lead_out_or_fit_no_disk(name) -> None:
    assert not is_plain_name(name)


@given(st.text())
def test_a_plain_name_stays_below_its_folder(tmp_path_factory, name) -> None:
    root = tmp_path_factory.getbasetemp().resolve()
    if is_plain_name(name):
        assert (root / name).resolve().is_relative_to(root)
        assert not (root / name / "no such file").exists()
