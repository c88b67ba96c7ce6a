import json

import pytest

from muse_core.training import pace
from muse_core.training.pace import Pace, memory_mb, pace_file


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(pace.time, "monotonic", lambda: now[0])
    return now


def test_a_line_every_few_seconds_about_the_time_since_the_last(tmp_path, clock) -> None:
    file = tmp_path / "stage.pace.jsonl"
    found = Pace(file, step=10, waited=1.0)
    clock[0] += 2.0
    found.note(14, 1.5)
    assert not file.exists()
    clock[0] += 6.0
    found.note(30, 3.0)
    clock[0] += 10.0
    found.note(35, 3.0)
    first, second = map(json.loads, file.read_text().splitlines())
    assert (first["step"], first["steps_per_second"], first["data_wait_share"]) == (
        30,
        20 / 8,
        2 / 8,
    )
    assert (second["step"], second["steps_per_second"], second["data_wait_share"]) == (35, 0.5, 0.0)
    assert first["memory/rss_mb"] > 50


def test_memory_grows_by_what_is_held() -> None:
    before = memory_mb()
    held = bytearray(80_000_000)
    held[::4096] = b"x" * len(held[::4096])
    assert 70 < memory_mb() - before < 120


def test_it_lies_beside_the_metrics(tmp_path) -> None:
    assert (
        pace_file(tmp_path / "08_generation_muse.jsonl")
        == tmp_path / "08_generation_muse.pace.jsonl"
    )
