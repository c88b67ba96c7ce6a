"""The profile's numbers are those of the evaluation's own functions, on planted maps and on real
ones.
"""

import numpy as np
import torch

from muse_core.evaluation.attention.head_profile import attention_profile
from muse_core.evaluation.attention.object_alignment import (
    nearness_auc,
    object_scores,
    patch_instances,
)
from muse_core.figures.explorer import AttentionView
from muse_core.losses.topology import attention_divergence

GRID = (4, 4)
MASKS = torch.zeros(2, 16, 16, dtype=torch.long)
MASKS[:, :8, :8] = 1


def view(seed: int, heads: int = 4, name: str = "student") -> AttentionView:
    logits = torch.randn(2, 3, heads, 16, 16, generator=torch.Generator().manual_seed(seed))
    return AttentionView(name, "student", torch.softmax(logits, -1), GRID)


def test_object_scores_are_the_evaluation_s() -> None:
    own = view(0)
    scores = object_scores(own.maps.unbind(1), patch_instances(MASKS, GRID), GRID)
    profile = attention_profile(own, MASKS, view(1))
    np.testing.assert_allclose(profile.auc, scores["auc"].mean(-1))
    np.testing.assert_allclose(profile.iou, scores["iou"].mean(-1))


def test_the_divergence_is_l_topo_s() -> None:
    own, true = view(0), view(1)
    profile = attention_profile(own, None, true)
    expected = attention_divergence(true.maps[:, 2], own.maps[:, 2].log()).mean((0, 2))
    np.testing.assert_allclose(profile.kl[2], expected, rtol=1e-4)
    assert profile.auc is None and profile.mean("auc") is None


def test_a_student_that_copies_its_teacher_has_no_divergence_and_perfect_ranks() -> None:
    profile = attention_profile(view(0), None, view(0))
    assert abs(profile.mean("kl")) < 1e-5 and abs(profile.mean("rank") - 1) < 1e-6


def test_perfect_object_attention_scores_one() -> None:
    same = patch_instances(MASKS, GRID)
    map_ = (same[:, :, None] == same[:, None]).float()
    perfect = AttentionView(
        "p", "student", (map_ / map_.sum(-1, keepdim=True))[:, None, None], GRID
    )
    profile = attention_profile(perfect, MASKS)
    assert profile.auc == [[1.0]] and profile.iou == [[1.0]]
    assert 0.5 < nearness_auc(same, GRID) < 1


def test_more_heads_are_averaged_before_they_are_compared() -> None:
    many, true = view(0, heads=4), view(1, heads=2)
    pairs = AttentionView("pairs", "student", many.maps.unflatten(2, (2, 2)).mean(3), GRID)
    found = attention_profile(many, None, true)
    assert np.shape(found.kl) == (3, 2)
    np.testing.assert_allclose(found.kl, attention_profile(pairs, None, true).kl, rtol=1e-5)
