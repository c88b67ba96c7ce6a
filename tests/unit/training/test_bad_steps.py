import pytest

from muse_core.training.bad_steps import update_or_skip
from muse_core.training.learner import Learner


class Moody(Learner):
    """Its loss is NaN at the named steps; that is all it does."""

    def __init__(self, *bad: int) -> None:
        self.bad = bad

    def update(self, batch: None, step: int) -> dict[str, float]:
        if step in self.bad:
            raise FloatingPointError("the loss is nan")
        return {"loss/total": 1.0}


Moody.__abstractmethods__ = frozenset()


def test_a_good_step_is_itself() -> None:
    skipped: list[int] = []
    assert update_or_skip(Moody(), None, 0, skipped, 3) == {"loss/total": 1.0} and skipped == []


def test_as_many_as_allowed_are_skipped_and_one_more_stops() -> None:
    skipped: list[int] = []
    learner = Moody(1, 2, 4)
    rows = [update_or_skip(learner, None, step, skipped, 2) for step in range(4)]
    assert rows == [
        {"loss/total": 1.0},
        {"skipped": 1},
        {"skipped": 1},
        {"loss/total": 1.0},
    ] and skipped == [2, 3]
    with pytest.raises(FloatingPointError):
        update_or_skip(learner, None, 4, skipped, 2)
    assert skipped == [2, 3]


def test_none_is_allowed_unless_asked() -> None:
    with pytest.raises(FloatingPointError):
        update_or_skip(Moody(0), None, 0, [], 0)
