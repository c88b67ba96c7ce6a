"""Records are read as far as they can be."""

from pathlib import Path

import pytest

from muse_core.report.run_records import minutes, number, part, parts, record, stage_records


@pytest.mark.parametrize("text", [None, "", "{cut", "[1]", "3", "null", "\x00"])
def test_what_is_no_record_is_an_empty_one(tmp_path: Path, text: str | None) -> None:
    (tmp_path / "records").mkdir()
    if text is not None:
        (tmp_path / "records/stage1.json").write_text(text)
    assert record(tmp_path, "stage1") == {} and stage_records(tmp_path) == {}


def test_a_folder_in_the_place_of_a_record_is_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "records/stage1.json").mkdir(parents=True)
    assert record(tmp_path, "stage1") == {}


def test_stages_come_by_number(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    for place in (3, 1):
        (tmp_path / f"records/stage{place}.json").write_text('{"steps": 2}')
    assert list(stage_records(tmp_path)) == [1, 3]


def test_parts_are_mappings_or_nothing() -> None:
    assert (
        part({"a": {"b": 1}}, "a") == {"b": 1}
        and part({"a": [1]}, "a") == {}
        and part({}, "a") == {}
    )
    assert (
        parts({"a": [{"b": 1}, 2]}, "a") == [{"b": 1}]
        and parts({"a": {"b": 1}}, "a") == []
        and parts({}, "a") == []
    )


def test_only_numbers_are_written() -> None:
    assert (
        number(1234.5, "{:,.1f}"),
        number(True, "{}"),
        number("x", "{}"),
        number(None, "{}"),
    ) == (
        "1,234.5",
        "",
        "",
        "",
    )
    assert (minutes(90), minutes("x"), minutes(None)) == ("1.5", "", "")
