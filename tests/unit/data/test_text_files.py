import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse_core.data.text_files import (
    class_lines,
    decoded,
    folded,
    json_lines,
    parsed_json,
    readable,
    text_lines,
)
from muse_core.errors import MuseError


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_marks_and_endings_are_no_text(tmp_path, encoding, ending) -> None:
    (tmp_path / "a.txt").write_bytes(ending.join(["sky ", "", "b\u2028ärn", ""]).encode(encoding))
    assert text_lines(tmp_path / "a.txt") == ["sky", "", "b\u2028ärn", ""]
    assert class_lines(tmp_path / "a.txt") == ("sky", "class 1", "b\u2028ärn")


def test_json_lines_with_a_mark(tmp_path) -> None:
    (tmp_path / "a.jsonl").write_bytes('{"a": 1}\r\n\r\n{"a": 2}'.encode("utf-8-sig"))
    assert list(json_lines(tmp_path / "a.jsonl")) == [(1, {"a": 1}), (3, {"a": 2})]
    assert list(json_lines(tmp_path / "absent.jsonl")) == []
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n[2]\n')
    with pytest.raises(MuseError, match=r"Line 2 of .*a.jsonl is not a JSON object"):
        list(json_lines(tmp_path / "a.jsonl"))


@given(st.binary())
def test_any_bytes_are_text_that_can_be_encoded(content) -> None:
    assert decoded(content).encode("utf-8") is not None


@given(st.text(st.characters()))
def test_any_name_can_be_printed_and_folded(name) -> None:
    for text in (readable(name), folded(name)):
        text.encode("utf-8")
    assert folded(readable(name)) == folded(name)


def test_names_of_old_archives() -> None:
    assert readable("caf\udce9/th\udce9.jpg") == "café/thé.jpg"
    assert readable("猫 🐈") == "猫 🐈" and readable("\ud800") == "?"


def test_what_is_no_text_is_a_sentence(tmp_path) -> None:
    (tmp_path / "a.txt").write_bytes(b"one\ntwo \xff\n")
    with pytest.raises(MuseError, match=r"a.txt is no text \(line 2\): save it as UTF-8 text"):
        text_lines(tmp_path / "a.txt")
    with pytest.raises(MuseError, match=r"cannot be read \(Is a directory\)"):
        text_lines(tmp_path)


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_whatever_it_is_it_is_json_or_a_value_error(text) -> None:
    with contextlib.suppress(ValueError):
        parsed_json(text)


def test_lists_in_lists_beyond_python_s_depth() -> None:
    for text in ("[" * 200_000, '{"a":' * 100_000):
        with pytest.raises(ValueError, match=r"\w"):
            parsed_json(text)


def test_utf_16_with_its_mark_is_read(tmp_path) -> None:
    for encoding in ("utf-16", "utf-16-be"):
        mark = "" if encoding == "utf-16" else "\ufeff"
        file = tmp_path / encoding
        file.write_bytes(f'{mark}{{"a": "é"}}\n{{"a": "日"}}'.encode(encoding))
        assert [row for _, row in json_lines(file)] == [{"a": "é"}, {"a": "日"}]
        assert class_lines(file)[1] == '{"a": "日"}' and decoded(file.read_bytes())[0] == "{"


def test_lines_in_bytes_of_old_are_read(tmp_path) -> None:
    (tmp_path / "a").write_bytes('{"a": "café"}'.encode("latin-1"))
    assert list(json_lines(tmp_path / "a")) == [(1, {"a": "café"})]
