"""Snapshots are taken at shares of the steps, whatever their number."""

import pytest

from muse_core.generation.snapshots import snapshot_steps, snapshots


@pytest.mark.parametrize(
    ("steps", "taken"), [(1600, [100, 200, 400, 800]), (6, [1, 2, 3]), (1, []), (3, [1, 2])]
)
def test_they_double_and_leave_out_both_ends(steps: int, taken: list[int]) -> None:
    assert snapshot_steps(steps) == taken


def test_they_are_found_by_their_steps(tmp_path) -> None:
    for step in (800, 100):
        (tmp_path / f"step-{step:08d}").mkdir()
    assert list(snapshots(tmp_path)) == [100, 800]
    assert snapshots(tmp_path / "nothing") == {}
