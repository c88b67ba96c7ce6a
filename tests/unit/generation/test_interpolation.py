"""A walk between noises begins and ends there and keeps their length."""

import torch

from muse_core.generation.interpolation import between


def test_both_ends_are_met_and_the_length_is_kept() -> None:
    first, last = torch.randn(8, 6, 6), torch.randn(8, 6, 6)
    path = between(first, last, 5)
    assert torch.allclose(path[0], first, atol=1e-5) and torch.allclose(path[-1], last, atol=1e-5)
    lengths = path.flatten(1).norm(dim=1)
    assert lengths.min() > 0.9 * min(first.norm(), last.norm())
    assert torch.equal(between(first, first, 3)[1], first)
