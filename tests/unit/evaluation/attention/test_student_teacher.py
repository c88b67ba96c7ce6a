"""Student against teacher, row by row: Spearman's correlation and the loss's own divergence."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from muse_core.data.scenes import Scenes
from muse_core.evaluation.attention.student_teacher import teacher_scores
from muse_core.losses.topology import attention_divergence

from ..small_evaluations import small_teacher


def of_teacher() -> tuple[torch.Tensor, ...]:
    return small_teacher((0, 3))(Scenes("test", 32).first(3).images).attention


@pytest.mark.parametrize("maps", [(torch.rand(3, 4, 36, 36),) * 2, None], ids=["random", "teacher"])
def test_rank_correlation_is_spearmans(maps) -> None:
    teacher = maps or of_teacher()
    student = [torch.softmax(each.log() + torch.randn_like(each), -1) for each in teacher]
    found = teacher_scores(teacher, student)["rank"]
    assert found.shape == (2, 4, 3)
    for layer, head, image in [(0, 0, 0), (1, 3, 2), (0, 2, 1)]:
        rows = zip(teacher[layer][image, head], student[layer][image, head], strict=True)
        expected = np.mean([spearmanr(true, own).statistic for true, own in rows])
        assert found[layer, head, image] == pytest.approx(expected, abs=1e-6)


@pytest.mark.filterwarnings("ignore:An input array is constant")
def test_the_rank_correlation_of_a_map_with_itself_is_1_and_of_a_constant_0() -> None:
    maps = of_teacher()
    rank = lambda student: teacher_scores(maps, student)["rank"]
    assert np.allclose(rank([each.square() for each in maps]), 1)
    assert np.allclose(rank([-each for each in maps]), -1)
    assert np.allclose(rank([torch.full_like(each, 1 / 36) for each in maps]), 0)


def test_the_divergence_is_that_of_the_loss_and_0_of_a_map_with_itself() -> None:
    teacher, logits = of_teacher(), [torch.randn(3, 4, 36, 36) for _ in range(2)]
    found = teacher_scores(teacher, [torch.softmax(each, -1) for each in logits])["kl"]
    for layer, (true, own) in enumerate(zip(teacher, logits, strict=True)):
        expected = attention_divergence(true, own).mean(-1).T
        assert torch.allclose(torch.from_numpy(found[layer]), expected, atol=1e-5)
    assert np.abs(teacher_scores(teacher, teacher)["kl"]).max() < 1e-5
