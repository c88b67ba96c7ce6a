"""One block against the plain divergence and its gradient by autograd."""

import torch

from muse_core.losses.topology import attention_divergence
from muse_core.losses.topology_block import block_terms


def test_a_block_is_the_plain_divergence_with_its_gradients() -> None:
    queries, keys = (
        torch.randn(2, 3, 5, 8, requires_grad=True),
        torch.randn(2, 3, 11, 8, requires_grad=True),
    )
    # Rows need not sum to one.
    target = torch.softmax(3 * torch.randn(2, 3, 5, 11), -1) * 0.9
    expected = attention_divergence(target, queries @ keys.transpose(-1, -2))
    into_queries, into_keys = torch.autograd.grad(expected.sum(), [queries, keys])
    found = block_terms(target, queries.detach(), keys.detach(), True)
    torch.testing.assert_close(found.divergence, expected.detach(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.into_queries, into_queries, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.into_keys, into_keys, atol=1e-5, rtol=1e-5)
    assert block_terms(target, queries.detach(), keys.detach(), False)[1:] == (None, None)


def test_logits_far_from_zero_do_not_overflow() -> None:
    target = torch.tensor([[[[0.0, 1.0]]]])
    found = block_terms(
        target, torch.tensor([[[[500.0]]]]), torch.tensor([[[[1.0], [-1.0]]]]), True
    )
    torch.testing.assert_close(found.divergence, torch.tensor([[[1000.0]]]))
    assert torch.isfinite(found.into_keys).all()
