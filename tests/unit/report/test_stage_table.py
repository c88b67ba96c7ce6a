"""The table of stages: numbers from records, and nothing where a record says nothing."""

import json
from pathlib import Path

import pytest

from muse_core.report.stage_table import stage_rows


def write(folder: Path, stage: int, text: str) -> None:
    (folder / "records").mkdir(exist_ok=True)
    (folder / f"records/stage{stage}.json").write_text(text)


def test_key_numbers_come_from_the_records(tmp_path: Path) -> None:
    record = {"steps": 1200, "seconds": 90, "images_per_second": 210.44}
    record |= {
        "losses": {"topology": {"first": 1.2, "last": -0.31}},
        "held_out": {"psnr": 21.345, "zero_shot": 0.713},
    }
    write(tmp_path, 3, json.dumps(record))
    write(tmp_path, 1, "{broken")
    (row,) = stage_rows(tmp_path)
    assert (row.name, row.steps, row.minutes, row.speed) == (
        "3 · Synergistic tuning",
        "1,200",
        "1.5",
        "210.4",
    )
    assert row.losses == ["topology 1.2 → −0.31"]
    assert row.held_out == "PSNR 21.34 dB, zero-shot 71.3%"


@pytest.mark.parametrize(
    "text", ['{"losses": [1], "held_out": 3, "seconds": "x"}', '{"losses": {"a": 1}}']
)
def test_odd_values_are_left_out(tmp_path: Path, text: str) -> None:
    write(tmp_path, 1, text)
    (row,) = stage_rows(tmp_path)
    assert (row.steps, row.minutes, row.losses, row.held_out) == ("", "", [], "")
