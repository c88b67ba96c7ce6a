"""The best checkpoint is the one after the steps with the lowest mean loss, and it is kept beside
the last.
"""

import json

import pytest

from muse_core.training.best_checkpoint import NOTE, best_step, note_best, smoothed_loss, total_loss

ROWS = [
    {"step": step, "loss/total": loss}
    for step, loss in enumerate((9, 7, 1, 3, 6, 4, 2, 2), start=1)
]


def test_the_mean_is_over_the_steps_since_the_checkpoint_before() -> None:
    assert [smoothed_loss(ROWS, step, 2) for step in (2, 4, 6, 8)] == [8, 2, 5, 2]


def test_the_lowest_wins_and_of_equals_the_later() -> None:
    assert best_step((2, 4, 6), ROWS, 2) == 4
    assert best_step((2, 4, 6, 8), ROWS, 2) == 8


def test_a_skipped_step_has_no_loss_and_steps_without_rows_tell_nothing() -> None:
    rows = [ROWS[0], {"step": 2, "skipped": 1}]
    assert smoothed_loss(rows, 2, 2) == 9
    assert (
        best_step((2,), [{"step": 2, "skipped": 1}], 2) is None
        and best_step((50,), ROWS, 2) is None
    )


def test_without_a_total_the_terms_are_added() -> None:
    assert total_loss({"step": 1, "loss/a": 1.0, "loss/b": 0.5, "gradient_norm/a": 7.0}) == 1.5
    assert total_loss({"step": 1, "loss/a": 1.0, "loss/total": 0.25}) == 0.25


def test_the_note_names_the_checkpoint(tmp_path) -> None:
    note_best(tmp_path, 40, 0.5)
    note = json.loads((tmp_path / NOTE).read_text())
    assert (note["checkpoint"], note["loss"]) == ("checkpoints/step-00000040", 0.5)
    assert "training loss" in note["measure"]


@pytest.mark.parametrize("killed_after", [3, 5])
def test_the_choice_depends_on_the_rows_alone(killed_after) -> None:
    again = ROWS[:killed_after] + ROWS[killed_after:]
    assert best_step((2, 4, 6, 8), again, 2) == best_step((2, 4, 6, 8), ROWS, 2)
