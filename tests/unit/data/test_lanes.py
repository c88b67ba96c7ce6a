import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_core.data.lanes import MOST_LANES, MOST_PIECES, STEPS, dealt, pieces_of


@given(st.integers(1, 5000), st.integers(STEPS, 3 * MOST_LANES))
def test_a_step_is_cut_evenly_and_its_lanes_fit(batch_size, places) -> None:
    pieces = pieces_of(batch_size, places)
    assert batch_size % pieces == 0 and pieces <= MOST_PIECES and pieces * STEPS <= places


@pytest.mark.parametrize(
    ("batch_size", "places", "pieces"),
    [(1024, 128, 16), (24, 128, 12), (1024, 40, 4), (4, 128, 4), (7, 128, 7), (1024, 1, 1)],
)
def test_pieces(batch_size, places, pieces) -> None:
    assert pieces_of(batch_size, places) == pieces


def test_pieces_are_dealt_in_turns_and_the_rest_follows() -> None:
    lanes = [torch.tensor([0, 1, 2, 3, 4]), torch.tensor([10, 11]), torch.tensor([20, 21, 22])]
    assert dealt(lanes, 2).tolist() == [0, 1, 10, 11, 20, 21, 2, 3, 4, 22]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=8), st.integers(1, 7))
@settings(deadline=None)
def test_every_position_once_and_each_lane_in_its_order(lengths, piece) -> None:
    together = torch.randperm(sum(lengths))
    lanes = list(together.split(lengths))
    order = dealt(lanes, piece).tolist()
    assert sorted(order) == list(range(sum(lengths)))
    place = {position: turn for turn, position in enumerate(order)}
    for lane in lanes:
        turns = [place[position] for position in lane.tolist()]
        assert turns == sorted(turns)
