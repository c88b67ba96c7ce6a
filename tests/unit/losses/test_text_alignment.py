"""L_align: query by query what token by token; nothing of padding; targets get no gradient."""

import pytest
import torch

from muse_core.errors import MuseError
from muse_core.losses.text_alignment import text_alignment_loss

TARGETS = torch.tensor([[[1.0], [2.0], [9.0]], [[3.0], [4.0], [5.0]]], requires_grad=True)
MASK = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])


def test_queries_are_the_tokens_and_then_the_last_of_them() -> None:
    states = torch.tensor([[[1.0], [2.0], [2.0], [2.0]], [[3.0], [4.0], [5.0], [5.0]]])
    assert text_alignment_loss(states, TARGETS, MASK) == 0
    # Padding, 9, is no target.
    wrong = states.clone().requires_grad_(True)
    with torch.no_grad():
        wrong[0, 2] += 2
    loss = text_alignment_loss(wrong, TARGETS, MASK)
    loss.backward()
    assert loss.item() == pytest.approx(4 / 8)
    assert wrong.grad.abs().gt(0).sum() == 1 and TARGETS.grad is None


def test_more_tokens_than_queries_are_a_sentence() -> None:
    with pytest.raises(MuseError, match=r"3 tokens and there are 2 queries.*queries=3 or more"):
        text_alignment_loss(torch.zeros(2, 2, 1), TARGETS, MASK)
