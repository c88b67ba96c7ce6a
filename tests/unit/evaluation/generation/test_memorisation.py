"""A generator that copies is found out; one that draws like the unseen images is not."""

import torch

from muse_core.evaluation.generation.memorisation import copies, nearest_training


def test_copies_are_found_and_fresh_samples_are_not() -> None:
    training, unseen, fresh = (torch.randn(n, 4, 3, 3) for n in (200, 300, 100))
    baseline = nearest_training(unseen, training)
    copied = training[:100] + 0.01 * torch.randn(100, 4, 3, 3)
    found = nearest_training(copied, training)
    assert found.index.tolist() == list(range(100)) and copies(found, baseline) == 1
    assert copies(nearest_training(fresh, training), baseline) < 0.1
