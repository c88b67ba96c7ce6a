"""The routing table, walked: every (loss, weight group) pair, in every stage, at two sizes, in one
backward pass.
"""

import pytest
import torch

from muse_core.config.presets import tiny
from muse_core.config.stage import PIXEL_LOSSES, TRUNK_OPEN, Loss, Stage
from muse_core.errors import MuseError
from muse_core.models.gradient_routes import (
    BLOCK_GROUPS,
    ORTHOGONAL,
    ROUTES,
    ROUTINGS,
    Route,
    Routing,
    WeightGroup,
    may_reach,
    routes_of,
    routing_given,
    routing_named,
    straight_to,
)
from muse_core.models.weight_groups import block_of, group_of, weight_groups
from muse_core.training.optimiser import freeze

from .small_models import SIZES, Size, loss_of, random_images, small_tokenizer

STAGES = {stage.name: stage for stage in tiny().curriculum}


OWN = Routing("open attention", attention_cut=False)
ISOLATING = ("orthogonal", "literal", "literal-open", OWN)
"""Routings whose table closes something, in the connector; one is no name's."""


def gradients(
    size: Size, stage: Stage, loss: Loss, half: bool = False, routing: str | Routing = "orthogonal"
) -> dict[str, torch.Tensor | None]:
    """Name -> gradient of one loss after a backward pass of the stage, or in bf16 arithmetic."""
    tokenizer = small_tokenizer(size, routing)
    tokenizer.backbone.requires_grad_(stage.trains_backbone)
    images = random_images(size)
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        output = tokenizer(images, trunk_hears=stage.trunk_hears, with_attention=True)
        total = loss_of(loss, output, images, tokenizer)
    total.backward()
    return {name: weight.grad for name, weight in tokenizer.named_parameters()}


def is_zero(gradient: torch.Tensor | None) -> bool:
    """Bitwise: no gradient at all, or nothing but zeros."""
    return gradient is None or not gradient.any()


@pytest.mark.parametrize("routing", ISOLATING, ids=lambda given: getattr(given, "name", given))
@pytest.mark.parametrize("half", [False, True], ids=["fp32", "bf16"])
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
@pytest.mark.parametrize("loss", Loss, ids=str)
def test_every_loss_reaches_its_groups_and_no_other(
    size: Size, stage: Stage, loss: Loss, half: bool, routing: str | Routing
) -> None:
    fields = stage.trunk_hears, stage.trains_backbone, routing_given(routing)
    measured = gradients(size, stage, loss, half, routing)
    for name, gradient in measured.items():
        if not may_reach(loss, group_of(name), *fields):
            assert is_zero(gradient), f"{loss} leaks into {name}"
    for group in WeightGroup:
        if may_reach(loss, group, *fields):
            reached = [
                name for name in measured if group_of(name) is group and not is_zero(measured[name])
            ]
            assert reached, f"{loss} never reaches {group}"
            if group in BLOCK_GROUPS:
                assert {block_of(name) for name in reached} == set(range(size.num_blocks)), (
                    f"{loss}, {group}: some block is missed"
                )


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_one_backward_of_the_sum_gives_each_group_its_own_loss(size: Size) -> None:
    """On each group of the blocks, the summed objective's gradient equals that of its one loss:
    nothing else arrives.
    """
    stage = STAGES["03_synergistic_tuning"]
    tokenizer, images = small_tokenizer(size), random_images(size)
    freeze(tokenizer, stage)

    def run(losses: list[Loss]) -> dict[str, torch.Tensor]:
        tokenizer.zero_grad()
        torch.manual_seed(1)
        output = tokenizer(images, trunk_hears=stage.trunk_hears, with_attention=True)
        terms = []
        for loss in losses:
            torch.manual_seed(2)
            terms.append(loss_of(loss, output, images, tokenizer))
        torch.stack(terms).sum().backward()
        return {
            name: weight.grad.clone()
            for name, weight in tokenizer.named_parameters()
            if weight.grad is not None
        }

    together = run([Loss.TOPOLOGY, Loss.ANCHOR, Loss.RECONSTRUCTION])
    alone = {
        WeightGroup.QUERY_KEY: run([Loss.TOPOLOGY]),
        WeightGroup.SEMANTIC_VALUE: run([Loss.ANCHOR]),
        WeightGroup.TEXTURE: run([Loss.RECONSTRUCTION]),
    }
    for group, own in alone.items():
        for name in (name for name in own if group_of(name) is group):
            assert torch.equal(together[name], own[name]), name


def test_every_weight_stands_in_the_table() -> None:
    for size in SIZES.values():
        tokenizer = small_tokenizer(size)
        counted = sum(len(members) for members in weight_groups(tokenizer).values())
        assert counted == len(list(tokenizer.parameters()))
    assert set(ROUTES) == set(Loss)
    assert all(set(row) == set(WeightGroup) for row in ROUTES.values())


def test_a_weight_outside_the_table_is_refused() -> None:
    with pytest.raises(MuseError, match=r"mystery.*begin its name"):
        group_of("connector.mystery.weight")


def test_shared_routing_mixes_all_losses_in_one_value_matrix() -> None:
    """The naive baseline really is naive: reconstruction and semantics meet in W_Q, W_K and the
    single W_V.
    """
    for loss in (Loss.TOPOLOGY, Loss.ANCHOR, Loss.RECONSTRUCTION):
        tokenizer, images = small_tokenizer(routing="shared"), random_images()
        output = tokenizer(images, with_attention=True)
        loss_of(loss, output, images, tokenizer).backward()
        groups = weight_groups(tokenizer)
        assert any(not is_zero(weight.grad) for weight in groups[WeightGroup.QUERY_KEY].values())
        assert any(
            not is_zero(weight.grad) for weight in groups[WeightGroup.SEMANTIC_VALUE].values()
        )
    assert not any("texture_value" in name for name, _ in tokenizer.named_parameters())


@pytest.mark.parametrize("cut", ["streams_isolated", "attention_cut", "semantics_cut"])
def test_each_cut_is_needed(cut: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening any one of the block's cuts lets some loss leak: the walk above can fail."""
    from dataclasses import replace

    monkeypatch.setitem(ROUTINGS, "orthogonal", replace(ORTHOGONAL, **{cut: False}))
    stage = STAGES["02_semantic_injection"]
    leaks = [
        (loss, name)
        for loss in (Loss.TOPOLOGY, Loss.ANCHOR, Loss.RECONSTRUCTION)
        for name, gradient in gradients(SIZES["tiny"], stage, loss).items()
        if not is_zero(gradient)
        and not may_reach(loss, group_of(name), stage.trunk_hears, stage.trains_backbone)
    ]
    assert leaks


def test_route_keeps_the_value_and_sends_the_gradient_to_the_trunk() -> None:
    trunk = torch.randn(2, 5, 8, requires_grad=True)
    hidden = trunk * 3 + torch.randn(2, 5, 8)
    routed = straight_to(trunk, hidden)
    assert torch.equal(routed, hidden)
    weight = torch.randn(2, 5, 8)
    (routed * weight).sum().backward()
    assert torch.equal(trunk.grad, weight)


def test_the_trunk_hears_what_the_stage_says() -> None:
    for stage in STAGES.values():
        assert stage.trunk_hears >= PIXEL_LOSSES
    assert STAGES["03_synergistic_tuning"].trunk_hears == TRUNK_OPEN
    assert ROUTES[Loss.TOPOLOGY][WeightGroup.TRUNK] is Route.TRUNK


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_frozen_weights_are_bit_equal_after_a_step(stage: Stage) -> None:
    from muse_core.training.optimiser import optimiser_for, set_rates

    tokenizer, images = small_tokenizer(), random_images()
    freeze(tokenizer, stage)
    before = {name: weight.clone() for name, weight in tokenizer.named_parameters()}
    optimiser = optimiser_for(tokenizer, stage)
    set_rates(optimiser, 1.0)
    output = tokenizer(images, trunk_hears=stage.trunk_hears, with_attention=True)
    torch.stack(
        [loss_of(loss, output, images, tokenizer) for loss in stage.weights]
    ).sum().backward()
    optimiser.step()
    moved = {
        group_of(name)
        for name, weight in tokenizer.named_parameters()
        if not torch.equal(weight, before[name])
    }
    expected = {
        group
        for group in WeightGroup
        if any(
            may_reach(loss, group, stage.trunk_hears, stage.trains_backbone)
            for loss in stage.weights
        )
    }
    assert moved == expected


def test_without_the_stop_gradient_pixels_reach_the_semantic_values_and_nothing_else_changes() -> (
    None
):
    closed, opened = (routes_of(routing_named(name)) for name in ("literal", "literal-open"))
    changed = {
        (loss, group)
        for loss in Loss
        for group in WeightGroup
        if closed[loss][group] != opened[loss][group]
    }
    assert changed == {(loss, WeightGroup.SEMANTIC_VALUE) for loss in PIXEL_LOSSES}
    assert closed is ROUTES


def test_naive_routing_understands_the_stream_that_it_decodes() -> None:
    """What is pooled is H_L, and semantics train all that it went through."""
    tokenizer, images = small_tokenizer(routing="naive"), random_images()
    connected = tokenizer.connect(images)
    assert connected.semantic is connected.hidden
    loss_of(Loss.ANCHOR, tokenizer(images), images, tokenizer).backward()
    for group in BLOCK_GROUPS:
        members = weight_groups(tokenizer)[group]
        reached = {block_of(name) for name, weight in members.items() if not is_zero(weight.grad)}
        assert reached == set(range(SIZES["tiny"].num_blocks)), group


def test_a_routing_that_isolates_nothing_promises_nothing() -> None:
    for name in ("shared", "naive", "release"):
        assert {
            route for row in routes_of(routing_named(name)).values() for route in row.values()
        } == {Route.ALWAYS}
    assert routes_of(ORTHOGONAL) is ROUTES
