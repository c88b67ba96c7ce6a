"""The order of an epoch for data that is best read in runs: several runs in turns, a few samples of
each at a time.

A lane is a run that one reader reads from its beginning to its end. The images of a step are cut
into pieces, and pieces are dealt to the lanes in turns, the same in every group of `STEPS` steps.
So the order is a function of the seed, the batch size and the data, not of processes and workers;
and where their numbers divide the pieces and `STEPS`, no two of them share a lane."""

from collections.abc import Sequence

import torch
from torch import Tensor

STEPS = 8
"""Consecutive steps that share no lane: what up to so many workers of a process read at the same
time.
"""
MOST_PIECES = 16
MOST_LANES = STEPS * MOST_PIECES


def pieces_of(batch_size: int, places: int) -> int:
    """Into how many pieces a step is cut: a divisor of it, so that all its lanes are at most
    ``places`` where that can be.
    """
    most = max(1, min(MOST_PIECES, places // STEPS))
    return max(pieces for pieces in range(1, most + 1) if batch_size % pieces == 0)


def dealt(lanes: Sequence[Tensor], piece: int) -> Tensor:
    """(n,) all positions in the lanes: ``piece`` of the first lane, of the second, ..., then the
    next of the first, as long as all go on; what the longer lanes have left follows, lane after
    lane."""
    even = min(map(len, lanes)) // piece * piece
    turns = torch.stack([lane[:even].view(-1, piece) for lane in lanes], dim=1)
    return torch.cat([turns.flatten(), *(lane[even:] for lane in lanes)])
