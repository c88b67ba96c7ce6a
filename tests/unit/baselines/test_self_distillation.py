"""DINO's and iBOT's parts, by the properties of their mathematics."""

import pytest
import torch
from torch import nn

from muse_core.baselines.self_distillation import (
    PrototypeHead,
    agreement_loss,
    move_average,
    random_crops,
    random_masks,
    sinkhorn,
)


def test_sinkhorn_gives_distributions_that_use_all_prototypes_nearly_alike(monkeypatch) -> None:
    logits = torch.randn(64, 6).clamp(-3, 3) / 4
    logits[:, 0] += 0.5
    found, plain = sinkhorn(logits), torch.softmax(logits / 0.06, 1)
    torch.testing.assert_close(found.sum(1), torch.ones(64))
    assert (found >= 0).all()
    spread = lambda target: target.sum(0).max() / target.sum(0).min()
    assert spread(plain) > 20 and spread(found) < 2
    torch.testing.assert_close(sinkhorn(logits + 3), found)
    monkeypatch.setattr("muse_core.baselines.self_distillation.SINKHORN_ROUNDS", 300)
    assert spread(sinkhorn(logits)) < 1.01


def test_sinkhorn_keeps_the_order_within_rows_that_ask_alike() -> None:
    """Two rows, each nearest to another prototype: each gets its own."""
    found = sinkhorn(torch.tensor([[0.9, 0.1], [0.1, 0.9]]))
    assert found.argmax(1).tolist() == [0, 1]


def test_agreement_is_the_cross_entropy_by_hand() -> None:
    student, target = torch.randn(3, 4) / 10, torch.softmax(torch.randn(3, 4), 1)
    rows = []
    for row in range(3):
        powers = [torch.exp(student[row, k] / 0.1) for k in range(4)]
        rows.append(-sum(target[row, k] * torch.log(powers[k] / sum(powers)) for k in range(4)))
    torch.testing.assert_close(agreement_loss(student, target), sum(rows) / 3)


def test_a_head_gives_cosines() -> None:
    head = PrototypeHead(8, 16, 4, 5)
    found, narrow = head(torch.randn(2, 3, 8)), torch.randn(2, 3, 4)
    assert found.shape == (2, 3, 5) and found.abs().max() <= 1
    head.layers = nn.Sequential(nn.Identity())
    for token in range(3):
        for k in range(5):
            one, prototype = narrow[0, token], head.prototypes[k]
            expected = torch.cosine_similarity(one, prototype, dim=0)
            torch.testing.assert_close(head(7 * narrow)[0, token, k], expected)


def ramps(count: int, side: int) -> torch.Tensor:
    """Images whose first channel says the column, from 0 to 1, and the second the row."""
    axis = (torch.arange(side) + 0.5) / side
    rows, columns = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([columns, rows, torch.ones(side, side)]).expand(count, 3, side, side)


def test_crops_are_windows_of_the_shares_asked_for_half_of_them_mirrored() -> None:
    found = random_crops(ramps(200, 64), 32, 0.1, 0.4)
    assert found.shape == (200, 3, 32, 32)
    wide, high = (
        (found[:, 0, 16, -5] - found[:, 0, 16, 4]),
        (found[:, 1, -5, 16] - found[:, 1, 4, 16]),
    )
    step = 32 / 23  # of 32 pixels, 23 steps lie between those looked at
    torch.testing.assert_close(wide.abs(), high, rtol=0.03, atol=0.003)
    shares = (high * step).square()
    assert 0.09 < shares.min() < 0.14 and 0.36 < shares.max() < 0.42
    assert 60 < (wide < 0).sum() < 140
    assert found.min() >= 0 and found.max() <= 1
    assert high.std() > 0.01 and found[:, 0, 16, 16].std() > 0.05, "each image has its own crop"


def test_crops_of_the_whole_are_the_image_or_its_mirror() -> None:
    images = torch.rand(8, 3, 16, 16)
    for image, crop in zip(images, random_crops(images, 16, 1.0, 1.0), strict=True):
        either = [(crop - each).abs().max() for each in (image, image.flip(-1))]
        assert min(either) < 1e-4


def test_crops_of_a_constant_image_are_constant() -> None:
    images = torch.rand(5, 3, 1, 1).expand(5, 3, 32, 32)
    found = random_crops(images, 16, 0.1, 1.0)
    torch.testing.assert_close(found, images[..., :16, :16])


@pytest.mark.parametrize("share", [0.01, 0.3, 1.0])
def test_masks_hide_the_same_number_in_each_row(share) -> None:
    found = random_masks(50, 16, share, torch.device("cpu"))
    assert found.shape == (50, 16)
    assert (found.sum(1) == max(1, round(16 * share))).all()
    if share == 0.3:
        assert found.any(0).all(), "each place is hidden in some row"


def test_an_average_moves_by_the_rest_of_its_momentum() -> None:
    mean, weight = nn.Linear(3, 2), nn.Linear(3, 2)
    before = [each.clone() for each in mean.parameters()]
    towards = [each.clone() for each in weight.parameters()]
    move_average(mean, weight, 0.9)
    for was, goal, now in zip(before, towards, mean.parameters(), strict=True):
        torch.testing.assert_close(now, 0.9 * was + 0.1 * goal)
    assert all(torch.equal(a, b) for a, b in zip(towards, weight.parameters(), strict=True))
