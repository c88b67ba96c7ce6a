"""Planted attention scores as it should; chance is a half."""

import torch

from muse_core.evaluation.attention_alignment import patch_instances, same_object_auc


def two_objects() -> torch.Tensor:
    """(1, 16, 16): object 1 in the left half, object 2 in the lower right quarter."""
    mask = torch.zeros(1, 16, 16, dtype=torch.long)
    mask[:, :, :8] = 1
    mask[:, 8:, 8:] = 2
    return mask


def test_patches_take_the_instance_that_covers_most_of_them() -> None:
    assert patch_instances(two_objects(), (2, 2)).tolist() == [[1, 0, 1, 2]]


def test_a_mask_that_does_not_divide_into_patches_is_resized() -> None:
    assert patch_instances(two_objects(), (3, 3)).shape == (1, 9)


def test_perfect_attention_scores_one_and_its_opposite_zero() -> None:
    instances = patch_instances(two_objects(), (4, 4))
    same = (instances[:, :, None] == instances[:, None]).float()
    attention = torch.stack([same, 1 - same], dim=1)
    assert same_object_auc(attention, instances).tolist() == [1.0, 0.0]


def test_attention_that_ignores_objects_is_at_chance() -> None:
    instances = patch_instances(two_objects(), (8, 8)).expand(16, -1)
    auc = same_object_auc(torch.rand(16, 2, 64, 64), instances)
    assert ((auc - 0.5).abs() < 0.02).all()
