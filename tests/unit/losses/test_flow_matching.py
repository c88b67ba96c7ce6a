"""Flow matching learns a known distribution, its target is the line's velocity, and no tokenizer
weight is in its reach.
"""

import math

import torch
from torch import nn

from muse_core.losses.flow_matching import (
    flow_matching_loss,
    logit_normal_times,
    noised,
    shifted,
    weight_of_changes,
)


def test_the_target_is_the_derivative_of_the_path() -> None:
    data, noise, time = torch.randn(5, 3, 4, 4), torch.randn(5, 3, 4, 4), torch.rand(5)
    h = 1e-3
    slope = (noised(data, noise, time + h) - noised(data, noise, time - h)) / (2 * h)
    assert flow_matching_loss(slope, data, noise) < 1e-6
    assert torch.equal(noised(data, noise, torch.zeros(5)), data) and torch.equal(
        noised(data, noise, torch.ones(5)), noise
    )


def test_a_small_change_counts_as_much_more_as_it_is_smaller() -> None:
    change = torch.zeros(3, 2, 8, 8)
    change[0, :, 0, 0], change[1, :, :4] = 1.0, -2.0
    change[1, :, 4:] = 0.01
    weight = weight_of_changes(change)
    assert weight[0, 0, 0, 0] == 7 and weight[0].sum() == 7 + 63
    assert (weight[1, 0, :4] == 2).all() and (weight[1, 0, 4:] == 1).all()
    assert (weight[2] == 1).all(), "nothing changes"
    velocity, noise = torch.randn(3, 2, 8, 8), torch.randn(3, 2, 8, 8)
    alike = flow_matching_loss(velocity, change, noise, torch.ones_like(weight))
    torch.testing.assert_close(alike, flow_matching_loss(velocity, change, noise))
    assert flow_matching_loss(velocity, change, noise, 2 * torch.ones_like(weight)) == 2 * alike


def test_times_are_logit_normal_and_the_shift_moves_them_towards_noise() -> None:
    times = logit_normal_times(20_000)
    assert times.min() > 0 and times.max() < 1 and abs(times.median() - 0.5) < 0.01
    share_inside = ((times > 1 / (1 + math.e)) & (times < math.e / (1 + math.e))).float().mean()
    assert abs(share_inside - 0.6827) < 0.015, "one standard deviation of the normal"
    assert shifted(torch.tensor(0.5), 3.0) == 0.75 and shifted(torch.tensor(1.0), 3.0) == 1


def test_a_small_network_recovers_a_mixture_of_gaussians() -> None:
    """Two components in the plane, weights 0.25 and 0.75: Euler sampling of the learnt field has
    their moments.
    """
    centres, spread = torch.tensor([[-2.0, 1.0], [1.5, -0.5]]), 0.3
    field = nn.Sequential(
        nn.Linear(3, 96), nn.SiLU(), nn.Linear(96, 96), nn.SiLU(), nn.Linear(96, 2)
    )
    optimiser = torch.optim.Adam(field.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 1200)
    draw = lambda n: centres[(torch.rand(n) < 0.75).long()] + spread * torch.randn(n, 2)
    velocity = lambda x, t: field(torch.cat([x, t[:, None]], 1))
    for _ in range(1200):
        data, time = draw(512), logit_normal_times(512)
        noise = torch.randn_like(data)
        loss = flow_matching_loss(velocity(noised(data, noise, time), time), data, noise)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    x, steps = torch.randn(4000, 2), 60
    with torch.no_grad():
        for k in range(steps):
            x = x - velocity(x, torch.full((4000,), 1 - k / steps)) / steps
    nearest = torch.cdist(x, centres).argmin(1)
    assert abs((nearest == 1).float().mean() - 0.75) < 0.05
    for k, centre in enumerate(centres):
        assert (x[nearest == k].mean(0) - centre).norm() < 0.12
        assert abs(x[nearest == k].std(0).mean() - spread) < 0.12
