import math
from dataclasses import replace

import pytest
import torch

from muse_core.config.presets import tiny
from muse_core.config.stage import Loss
from muse_core.models.gradient_routes import WeightGroup
from muse_core.models.weight_groups import group_of, weight_groups
from muse_core.training.optimiser import (
    clip_groups,
    freeze,
    optimiser_for,
    rate_factor,
    set_rates,
    trainable,
)

from ..models.small_models import small_tokenizer

FIRST, SECOND, THIRD = tiny().curriculum
SCHEDULE = replace(FIRST, steps=100, warmup_share=0.1, final_rate=0.05)


def test_the_rate_warms_up_linearly_then_falls_by_a_cosine_to_its_end() -> None:
    assert [rate_factor(step, SCHEDULE) for step in (0, 4, 9, 10)] == pytest.approx(
        [0.1, 0.5, 1.0, 1.0]
    )
    # A third of the way down, where cos(pi / 3) is a half.
    assert rate_factor(40, SCHEDULE) == pytest.approx(0.05 + 0.95 * 3 / 4)
    assert rate_factor(55, SCHEDULE) == pytest.approx((1 + 0.05) / 2)  # half way down
    assert rate_factor(100, SCHEDULE) == pytest.approx(0.05)
    factors = [rate_factor(step, SCHEDULE) for step in range(10, 100)]
    assert factors == sorted(factors, reverse=True)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_shortest_runs_have_a_rate(steps: int) -> None:
    assert all(0 < rate_factor(step, replace(SCHEDULE, steps=steps)) <= 1 for step in range(steps))


@pytest.mark.parametrize(
    ("stage", "frozen"),
    [
        (FIRST, {WeightGroup.BACKBONE, WeightGroup.SEMANTIC_VALUE, WeightGroup.SEMANTIC_HEAD}),
        (SECOND, {WeightGroup.BACKBONE}),
        (THIRD, set()),
    ],
    ids=["first", "second", "third"],
)
def test_a_stage_freezes_what_it_does_not_train(stage, frozen) -> None:
    tokenizer = small_tokenizer()
    freeze(tokenizer, stage)
    for group, members in weight_groups(tokenizer).items():
        assert {weight.requires_grad for weight in members.values()} == {group not in frozen}, group
    assert tokenizer.backbone.training == stage.trains_backbone and tokenizer.connector.training
    assert {group_of(name) for name in trainable(tokenizer)} == set(WeightGroup) - frozen


def test_the_backbone_has_its_own_rate_and_no_weight_is_in_two_groups() -> None:
    tokenizer = small_tokenizer()
    freeze(tokenizer, THIRD)
    optimiser = optimiser_for(tokenizer, THIRD)
    set_rates(optimiser, 0.5)
    rates = {group["name"]: group["lr"] for group in optimiser.param_groups}
    expected = dict.fromkeys(map(str, WeightGroup), 0.5 * THIRD.learning_rate)
    assert rates == expected | {"backbone": 0.5 * THIRD.learning_rate * THIRD.backbone_rate}
    members = [id(weight) for group in optimiser.param_groups for weight in group["params"]]
    assert len(members) == len(set(members)) == len(list(tokenizer.parameters()))


def test_a_split_backbone_is_two_groups_at_the_backbones_rate() -> None:
    """So that clipping one part's gradient does not rescale the other's."""
    tokenizer = small_tokenizer(routing="trunk-routed")
    freeze(tokenizer, THIRD)
    groups = {group["name"]: group for group in optimiser_for(tokenizer, THIRD).param_groups}
    assert set(groups) == {*map(str, WeightGroup), "backbone W_Q, W_K"}
    attention = [layer.attention for layer in tokenizer.backbone.network.encoder.layer]
    expected = [
        p
        for each in attention
        for proj in (each.q_proj, each.k_proj)
        for p in (proj.weight, proj.bias)
    ]
    assert list(map(id, groups["backbone W_Q, W_K"]["params"])) == list(map(id, expected))
    rate = THIRD.learning_rate * THIRD.backbone_rate
    assert groups["backbone"]["peak_rate"] == groups["backbone W_Q, W_K"]["peak_rate"] == rate
    members = [id(weight) for group in groups.values() for weight in group["params"]]
    assert len(members) == len(set(members)) == len(list(tokenizer.parameters()))


def test_a_split_backbones_queries_and_keys_are_frozen_where_no_topology_trains_them() -> None:
    tokenizer = small_tokenizer(routing="trunk-routed")
    kept = {loss: weight for loss, weight in THIRD.weights.items() if loss is not Loss.TOPOLOGY}
    stage = replace(THIRD, weights=kept)
    freeze(tokenizer, stage)
    still = {
        name
        for name in dict(tokenizer.backbone.named_parameters())
        if "q_proj" in name or "k_proj" in name
    }
    asked = {
        name for name, weight in tokenizer.backbone.named_parameters() if not weight.requires_grad
    }
    assert asked == still and still
    assert "backbone W_Q, W_K" not in [
        group["name"] for group in optimiser_for(tokenizer, stage).param_groups
    ]


def test_each_group_is_clipped_on_its_own() -> None:
    """A huge gradient in one group must not shrink another's step."""
    loud, quiet = torch.nn.Parameter(torch.zeros(4)), torch.nn.Parameter(torch.zeros(4))
    optimiser = torch.optim.AdamW(
        [{"name": "loud", "params": [loud]}, {"name": "quiet", "params": [quiet]}]
    )
    loud.grad, quiet.grad = torch.full((4,), 50.0), torch.full((4,), 0.1)
    norms = clip_groups(optimiser, 1.0)
    assert norms == pytest.approx({"loud": 100.0, "quiet": 0.2})
    assert loud.grad.norm().item() == pytest.approx(1.0, rel=1e-4)
    torch.testing.assert_close(quiet.grad, torch.full((4,), 0.1))
    assert math.isclose(optimiser.param_groups[0]["params"][0].abs().sum().item(), 0)


def test_every_group_of_whole_weights_is_stepped_in_one_pass() -> None:
    tokenizer = small_tokenizer()
    freeze(tokenizer, THIRD)
    assert all(group["fused"] for group in optimiser_for(tokenizer, THIRD).param_groups)
