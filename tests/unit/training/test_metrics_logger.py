"""The metrics file is whole lines at every moment, and rewinding never loses a row."""

from types import SimpleNamespace

import pytest

from muse_core.results.records import read_jsonl
from muse_core.training import metrics_logger
from muse_core.training.metrics_logger import MetricsLogger

BATCH = SimpleNamespace(skipped=(), enlarged=())


@pytest.fixture
def notes(tmp_path) -> MetricsLogger:
    return MetricsLogger(tmp_path / "stage.jsonl")


def written(notes: MetricsLogger) -> list[int]:
    return [row["step"] for row in read_jsonl(notes.file)]


def test_a_row_is_in_the_file_after_a_second(notes, monkeypatch) -> None:
    now = [notes.flushed]
    monkeypatch.setattr(metrics_logger.time, "monotonic", lambda: now[0])
    notes.note({"step": 1}, BATCH, keep=True)
    assert written(notes) == []
    now[0] += 1.0
    notes.note({"step": 2}, BATCH, keep=True)
    assert written(notes) == [1, 2]


def test_rows_share_the_names_of_their_columns(notes) -> None:
    for step in (1, 2):
        notes.note({"".join(["loss/", "total"]): step}, BATCH, keep=True)
    (first,), (second,) = notes.rows
    assert first is second


def test_a_reader_sees_whole_lines_whenever_it_looks(notes, monkeypatch) -> None:
    seen: list[str] = []
    rows = [{"step": step, "loss/total": 0.1} for step in range(5000)]  # more than any buffer holds
    plain = metrics_logger.append_jsonl
    monkeypatch.setattr(
        metrics_logger,
        "append_jsonl",
        lambda *given: (plain(*given), seen.append(given[0].read_text())),
    )
    for row in rows:
        notes.note(row, BATCH, keep=True)
    notes.flush(to_disk=True)
    assert (
        seen and all(text.endswith("\n") for text in seen) and written(notes) == list(range(5000))
    )


class Died(BaseException):
    pass


@pytest.mark.parametrize("function", ["append_jsonl", "force"])
def test_a_death_while_rewinding_keeps_every_row(notes, monkeypatch, function) -> None:
    for step in range(1, 7):
        notes.note({"step": step}, BATCH, keep=True)
    notes.flush()

    def die(*arguments) -> None:
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(metrics_logger, function, die)
        with pytest.raises(Died):
            MetricsLogger(notes.file).rewind(4)
    assert written(notes) == [1, 2, 3, 4, 5, 6]
    again = MetricsLogger(notes.file)
    again.rewind(4)
    assert written(again) == [row["step"] for row in again.rows] == [1, 2, 3, 4]
    assert [path.name for path in notes.file.parent.iterdir()] == ["stage.jsonl"]


def test_losses_pass_over_skipped_steps(notes) -> None:
    for row in (
        {"step": 1, "skipped": 1},
        {"step": 2, "loss/a": 4.0},
        {"step": 3, "loss/a": 2.0},
        {"step": 4, "skipped": 1},
    ):
        notes.note(row, BATCH, keep=True)
    assert notes.losses() == {"a": {"first": 4.0, "last": 3.0}}


def test_what_went_wrong_comes_back_with_the_checkpoint(notes) -> None:
    notes.bad_steps, notes.waited = [3], 1.5
    notes.files_skipped.add("broken.png")
    again = MetricsLogger(notes.file)
    again.recall(notes.remembered())
    assert (again.bad_steps, again.waited, again.files_skipped) == ([3], 1.5, {"broken.png"})


def test_callbacks_of_all_pieces_are_left_out_of_the_seconds(notes, monkeypatch) -> None:
    now = [notes.began]
    monkeypatch.setattr(metrics_logger.time, "monotonic", lambda: now[0])
    now[0] += 10
    notes.callbacks["plot"] = 4.0
    second = MetricsLogger(notes.file, began=now[0])
    second.recall(notes.remembered())
    assert (notes.seconds, second.seconds) == (6, 6)
    now[0] += 7
    second.callbacks["plot"] += 2.0
    assert second.seconds == 11
