"""Planted attention scores as it should; chance is a half."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from muse_core.data.scenes import Scenes
from muse_core.evaluation.attention.object_alignment import (
    nearness,
    nearness_auc,
    object_mass,
    object_scores,
    patch_instances,
    same_object,
)


def two_objects() -> torch.Tensor:
    """(1, 16, 16): object 1 in the left half, object 2 in the lower right quarter."""
    mask = torch.zeros(1, 16, 16, dtype=torch.long)
    mask[:, :, :8] = 1
    mask[:, 8:, 8:] = 2
    return mask


def one_object() -> torch.Tensor:
    """(1, 16, 16): object 1 in the upper left quarter."""
    mask = torch.zeros(1, 16, 16, dtype=torch.long)
    mask[:, :8, :8] = 1
    return mask


def perfect(instances: torch.Tensor) -> torch.Tensor:
    """Attention (images, 1, patches, patches) that looks at its own object alone."""
    same = (instances[:, :, None] == instances[:, None]).float()
    return (same / same.sum(-1, keepdim=True))[:, None]


def opposite(instances: torch.Tensor) -> torch.Tensor:
    """Attention that looks everywhere but at its own object."""
    other = (instances[:, :, None] != instances[:, None]).float()
    return (other / other.sum(-1, keepdim=True))[:, None]


def uniform(images: int = 1, patches: int = 16) -> torch.Tensor:
    return torch.full((images, 1, patches, patches), 1 / patches)


def test_patches_take_the_instance_that_covers_most_of_them() -> None:
    assert patch_instances(two_objects(), (2, 2)).tolist() == [[1, 0, 1, 2]]


def test_a_mask_that_does_not_divide_into_patches_is_resized() -> None:
    assert patch_instances(two_objects(), (3, 3)).shape == (1, 9)


@pytest.mark.parametrize("mask", [one_object(), two_objects()], ids=["one object", "two objects"])
def test_a_perfect_map_has_every_score_1_and_its_opposite_0(mask) -> None:
    instances = patch_instances(mask, (4, 4))
    best = object_scores([perfect(instances)], instances, (4, 4))
    worst = object_scores([opposite(instances)], instances, (4, 4))
    assert (best["auc"].item(), best["iou"].item(), best["pointing"].item()) == (1, 1, 1)
    assert (worst["auc"].item(), worst["iou"].item(), worst["pointing"].item()) == (0, 0, 0)


def test_a_uniform_map_has_auc_one_half() -> None:
    instances = patch_instances(two_objects(), (4, 4))
    assert object_scores([uniform()], instances, (4, 4))["auc"].item() == 0.5


def test_half_an_object_found_is_an_iou_of_one_third() -> None:
    """An object of 4 patches; the seed looks at 2 of them and at 2 others: 2 / (4 + 4 - 2). Its
    strongest is not on it.
    """
    instances = patch_instances(one_object(), (4, 4))
    rows = torch.zeros(1, 1, 16, 16)
    rows[..., [0, 1, 14, 15]] = torch.tensor([0.2, 0.2, 0.2, 0.4])
    scores = object_scores([rows], instances, (4, 4))
    assert scores["iou"].item() == pytest.approx(1 / 3) and scores["pointing"].item() == 0


def test_two_objects_of_which_one_is_found_are_half_found() -> None:
    instances = patch_instances(two_objects(), (4, 4))
    rows = perfect(instances)
    rows[0, 0, instances[0] == 2] = opposite(instances)[0, 0, instances[0] == 2]
    scores = object_scores([rows], instances, (4, 4))
    assert scores["iou"].item() == pytest.approx(0.5) and scores["pointing"].item() == 0.5


def test_a_token_looking_at_itself_is_no_pointing() -> None:
    instances = patch_instances(one_object(), (4, 4))
    rows = 0.9 * torch.eye(16)[None, None] + 0.1 * opposite(instances)
    assert object_scores([rows], instances, (4, 4))["pointing"].item() == 0


def test_scores_are_per_layer_head_and_image() -> None:
    instances = torch.cat([patch_instances(mask(), (4, 4)) for mask in (one_object, two_objects)])
    maps = torch.cat([perfect(instances), opposite(instances), uniform(2)], dim=1)
    scores = object_scores([maps, maps.flip(1)], instances, (4, 4))
    assert scores["auc"].shape == scores["iou"].shape == scores["pointing"].shape == (2, 3, 2)
    assert scores["auc"][:, :, 0].tolist() == [[1, 0, 0.5], [0.5, 0, 1]]
    assert scores["iou"][0, :2].tolist() == [[1, 1], [0, 0]]


def test_images_without_an_object_or_all_object_are_nan() -> None:
    instances = torch.stack([torch.zeros(16, dtype=torch.long), torch.ones(16, dtype=torch.long)])
    scores = object_scores([torch.rand(2, 2, 16, 16)], instances, (4, 4))
    assert (
        np.isnan(scores["auc"]).all()
        and np.isnan(scores["iou"][:, :, 0]).all()
        and np.isnan(scores["pointing"][:, :, 0]).all()
    )


def test_an_object_of_one_patch_has_no_seed() -> None:
    instances = torch.zeros(1, 16, dtype=torch.long)
    instances[0, 5] = 1
    scores = object_scores([uniform()], instances, (4, 4))
    assert np.isnan(scores["iou"]).all() and np.isnan(scores["pointing"]).all()


def test_auc_of_an_image_is_scikit_learns_over_queries_on_objects() -> None:
    instances, attention = (
        patch_instances(Scenes("test", 64).first(6).instance_masks, (4, 4)),
        torch.rand(6, 1, 16, 16),
    )
    scores = object_scores([attention], instances, (4, 4))
    for image in np.flatnonzero(np.isfinite(scores["auc"][0, 0])):
        pairs = [(q, k) for q in range(16) for k in range(16) if q != k and instances[image, q] > 0]
        truth = [bool(instances[image, q] == instances[image, k]) for q, k in pairs]
        expected = roc_auc_score(truth, [attention[image, 0, q, k].item() for q, k in pairs])
        assert scores["auc"][0, 0, image] == pytest.approx(expected)
    assert np.isfinite(scores["auc"]).sum() > 3


def test_nearness_is_a_distribution_that_falls_with_distance() -> None:
    rows = nearness((3, 5))
    assert rows.shape == (1, 1, 15, 15) and torch.allclose(rows.sum(-1), torch.ones(1, 1, 15))
    middle = rows[0, 0, 7].view(3, 5)
    assert torch.equal(middle, middle.flip(1)) and torch.equal(middle, middle.flip(0))
    assert middle[1].diff().sign().tolist() == [1, 1, -1, -1]


def test_nearness_beats_chance_on_scenes_because_objects_hang_together() -> None:
    batch = Scenes("test", 64).first(12)
    instances = patch_instances(batch.instance_masks, (8, 8))
    assert 0.6 < nearness_auc(instances, (8, 8)) < 0.95


def test_pairs_that_count_begin_on_an_object_and_end_elsewhere() -> None:
    same, counted = same_object(torch.tensor([[0, 1, 1, 2]]))
    assert not counted[0].diagonal().any() and not counted[0, 0].any()
    assert counted.sum() == 9 and same[0, 1].tolist() == [False, True, True, False]


def test_object_mass_is_the_share_that_stays_on_the_object() -> None:
    """Two patches of one object give 0.75 and 0.25 of their attention to it, all others nothing."""
    instances = torch.zeros(1, 16, dtype=torch.long)
    instances[0, [5, 6]] = 1
    attention = torch.zeros(1, 2, 16, 16)
    attention[..., 0] = 1.0
    for patch, share in ((5, 0.75), (6, 0.25)):
        attention[:, :, patch] = 0.0
        attention[:, :, patch, 6], attention[:, :, patch, 0] = share, 1 - share
    assert object_mass([attention, attention.flip(1)], instances).tolist() == [0.5, 0.5]
