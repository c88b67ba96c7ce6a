"""Records come back whole or as one sentence, however they are cut, and rows however
they arrive.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muse_core.errors import MuseError
from muse_core.results.records import RowReader, read_json, read_jsonl

from ..hostile_values import JSON_VALUES, KEYS, damaged, json_bytes

RECORD = json_bytes(
    {"stage": "01", "losses": {"topology": {"first": 1.5, "last": 0.1}}, "skipped": ["a.png"]}
)
ROWS = [{"step": at, "loss/total": 1 / at} for at in range(1, 6)]
LINES = b"".join(json_bytes(row) + b"\n" for row in ROWS)
quick = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@given(content=st.binary(max_size=40) | damaged(RECORD) | JSON_VALUES.map(json_bytes))
@quick
def test_a_record_is_an_object_or_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    try:
        assert isinstance(read_json(tmp_path / "a.json"), dict)
    except MuseError as error:
        assert "a.json" in str(error) and "\n" not in str(error)


@given(content=st.binary(max_size=40) | damaged(LINES))
@quick
def test_rows_are_objects_or_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    try:
        assert all(isinstance(row, dict) for row in read_jsonl(tmp_path / "a.jsonl"))
    except MuseError as error:
        assert "Line" in str(error) and "\n" not in str(error)


@given(stop=st.integers(0, len(LINES)))
@quick
def test_a_file_cut_anywhere_loses_its_last_line_at_most(tmp_path: Path, stop: int) -> None:
    (tmp_path / "a.jsonl").write_bytes(LINES[:stop])
    whole = LINES[:stop].count(b"\n")
    rows = list(read_jsonl(tmp_path / "a.jsonl"))
    assert rows == ROWS[: len(rows)] and whole <= len(rows) <= whole + 1


@given(
    rows=st.lists(
        st.dictionaries(KEYS, st.integers() | st.text(max_size=5), min_size=1), max_size=6
    ),
    pieces=st.lists(st.integers(1, 40)),
)
@quick
def test_a_reader_gives_every_row_once_however_the_file_grows(
    tmp_path: Path, rows: list[dict[str, Any]], pieces: list[int]
) -> None:
    file, content, seen = (
        tmp_path / "a.jsonl",
        b"".join(json_bytes(row) + b"\n" for row in rows),
        [],
    )
    file.unlink(missing_ok=True)
    reader = RowReader(file)
    for piece in [*pieces, len(content)]:
        with file.open("ab") as opened:
            opened.write(content[:piece])
        content = content[piece:]
        seen += reader.new_rows()
    assert seen == json.loads(json.dumps(rows))
    assert reader.new_rows() == []


def test_a_file_made_anew_is_read_from_its_start(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(LINES)
    reader = RowReader(file)
    assert reader.new_rows() == ROWS
    file.write_bytes(json_bytes({"step": 1}) + b"\n")
    assert reader.new_rows() == [{"step": 1}]


def test_a_damaged_line_is_named_wherever_reading_began(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(LINES)
    reader = RowReader(file)
    reader.new_rows()
    with file.open("ab") as opened:
        opened.write(b'{"step": 6}\n{"ste\n{"step": 8}\n')
    with pytest.raises(MuseError, match="Line 7 of "):
        reader.new_rows()
