"""A split backbone: bitwise zeros where a loss has no business, plain autograd where it has, and no
value changed.
"""

import pytest
import torch
from torch import Tensor

from muse_core.config.presets import tiny
from muse_core.config.stage import PIXEL_LOSSES, TRUNK_CLOSED, TRUNK_OPEN, Loss
from muse_core.models.backbone_routes import (
    HEARS,
    BackbonePart,
    may_reach_weight,
    part_of,
    routed_groups,
)
from muse_core.models.gradient_routes import (
    ORTHOGONAL,
    ROUTES,
    TRUNK_ROUTED,
    Routing,
    may_reach,
    routes_of,
)
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.models.weight_groups import group_of
from muse_core.training.optimiser import freeze

from .small_models import SIZES, TINY, Size, loss_of, random_images, small_tokenizer

FIRST, _, THIRD = tiny().curriculum
LAYERS = {0, 1}
TASKS = (Loss.TOPOLOGY, Loss.ANCHOR, Loss.RECONSTRUCTION)


def gradients(
    tokenizer: MuseTokenizer,
    images: Tensor,
    *losses: Loss,
    trunk_hears: frozenset[Loss] = TRUNK_OPEN,
) -> dict[str, Tensor | None]:
    """Name -> gradient of the losses' sum, against targets that depend on the loss alone."""
    tokenizer.zero_grad()
    output = tokenizer(images, trunk_hears=trunk_hears, with_attention=True)
    terms = []
    for loss in losses:
        torch.manual_seed(2)
        terms.append(loss_of(loss, output, images, tokenizer))
    torch.stack(terms).sum().backward()
    return {
        name: None if w.grad is None else w.grad.clone() for name, w in tokenizer.named_parameters()
    }


def backbone_part(found: dict[str, Tensor | None], part: BackbonePart) -> dict[str, Tensor | None]:
    return {name: gradient for name, gradient in found.items() if part_of(name) is part}


def touched(gradient: Tensor | None) -> bool:
    """Bitwise: any coordinate that is not zero."""
    return gradient is not None and bool(gradient.any())


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("loss", Loss, ids=str)
def test_each_loss_reaches_its_part_in_every_layer_and_not_a_bit_of_the_other(
    size: Size, loss: Loss
) -> None:
    found = gradients(small_tokenizer(size, "trunk-routed"), random_images(size), loss)
    for name, gradient in found.items():
        allowed = may_reach_weight(loss, name, TRUNK_OPEN, True, TRUNK_ROUTED)
        exactly_flat = name.endswith(
            "k_proj.bias"
        )  # softmax does not feel it: what arrives is rounding error
        assert touched(gradient) <= allowed, f"{loss} leaks into {name}"
        assert touched(gradient) or not allowed or exactly_flat or "backbone" not in name, (
            f"{loss} misses {name}"
        )
    reached = {
        name.split("layer.")[1][0] for name in found if ".layer." in name and touched(found[name])
    }
    assert reached == set(map(str, LAYERS))


@pytest.mark.parametrize("loss", TASKS, ids=str)
def test_the_adapter_and_the_queries_stay_shared(loss: Loss) -> None:
    found = gradients(small_tokenizer(routing="trunk-routed"), random_images(), loss)
    assert touched(found["connector.queries"]) and touched(found["connector.adapter.1.weight"])


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@torch.no_grad()
def test_no_value_differs_without_gradients(size: Size) -> None:
    assert_equal_values(size)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_no_value_differs_in_training(size: Size) -> None:
    assert_equal_values(size)


def assert_equal_values(size: Size) -> None:
    images = random_images(size)
    plain, split = (
        small_tokenizer(size, routing)(images, with_attention=True)
        for routing in ("orthogonal", "trunk-routed")
    )
    *one, layers = (getattr(plain, name) for name in vars(plain))
    *other, split_layers = (getattr(split, name) for name in vars(split))
    maps, split_maps = ([layer.logits() for layer in found] for found in (layers, split_layers))
    assert all(map(torch.equal, [*one, *maps], [*other, *split_maps]))


@pytest.mark.parametrize("loss", TASKS, ids=str)
def test_the_open_part_gets_what_plain_autograd_gives_with_the_other_frozen(loss: Loss) -> None:
    images = random_images()
    routed = gradients(small_tokenizer(routing="trunk-routed"), images, loss)
    plain = small_tokenizer()
    part = next(part for part, heard in HEARS.items() if loss in heard)
    for name, weight in plain.named_parameters():
        weight.requires_grad_(part_of(name) in (None, part))
    expected = gradients(plain, images, loss)
    for name in (name for name in expected if part_of(name) in (None, part)):
        ours, oracle = routed[name], expected[name]
        assert (ours is None and oracle is None) or torch.equal(ours, oracle), name


def test_one_backward_of_the_sum_gives_each_part_its_own_losses() -> None:
    tokenizer, images = small_tokenizer(routing="trunk-routed"), random_images()
    freeze(tokenizer, THIRD)
    together = gradients(tokenizer, images, *TASKS)
    topology, *others = (gradients(tokenizer, images, loss) for loss in TASKS)
    without_topology = gradients(tokenizer, images, *TASKS[1:])
    for name, gradient in backbone_part(together, BackbonePart.QUERY_KEY).items():
        assert torch.equal(gradient, topology[name]), name
    for name, gradient in backbone_part(together, BackbonePart.CONTENT).items():
        assert torch.equal(gradient, without_topology[name]), name
        torch.testing.assert_close(
            gradient, sum(each[name] for each in others), rtol=1e-4, atol=1e-5
        )


def test_a_closed_trunk_keeps_topology_out_of_the_whole_backbone() -> None:
    """Pixels alone open the trunk, of a backbone that trains: its content learns, its queries and
    keys do not.
    """
    found = gradients(
        small_tokenizer(routing="trunk-routed"), random_images(), *TASKS, trunk_hears=TRUNK_CLOSED
    )
    assert not any(map(touched, backbone_part(found, BackbonePart.QUERY_KEY).values()))
    assert all(map(touched, backbone_part(found, BackbonePart.CONTENT).values()))


def passes(tokenizer: MuseTokenizer, **asked) -> int:
    """How often the backbone runs in one pass of the tokenizer."""
    ran: list[None] = []
    hook = tokenizer.backbone.register_forward_hook(lambda *_: ran.append(None))
    tokenizer(random_images(), **asked)
    hook.remove()
    return len(ran)


def test_the_backbone_runs_twice_only_where_both_parts_learn() -> None:
    tokenizer = small_tokenizer(routing="trunk-routed")
    freeze(tokenizer, THIRD)
    assert passes(tokenizer, with_attention=True) == 2
    assert passes(tokenizer, with_attention=False) == 1
    assert passes(tokenizer, with_attention=True, trunk_hears=PIXEL_LOSSES) == 1
    with torch.no_grad():
        assert passes(tokenizer, with_attention=True) == 1
    freeze(tokenizer, FIRST)
    assert passes(tokenizer, with_attention=True) == 1
    assert passes(small_tokenizer(), with_attention=True) == 1


def test_a_frozen_backbone_is_routed_as_ever() -> None:
    """Stages 1 and 2 of both routings are bit for bit the same."""
    images, found = random_images(), []
    for routing in ("orthogonal", "trunk-routed"):
        tokenizer = small_tokenizer(routing=routing)
        freeze(tokenizer, FIRST)
        found.append(
            gradients(
                tokenizer, images, Loss.TOPOLOGY, Loss.RECONSTRUCTION, trunk_hears=FIRST.trunk_hears
            )
        )
    one, other = found
    for name in one:
        assert (one[name] is None and other[name] is None) or torch.equal(one[name], other[name]), (
            name
        )


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("backbone.network.encoder.layer.0.attention.q_proj.weight", BackbonePart.QUERY_KEY),
        ("backbone.network.encoder.layer.11.attention.k_proj.bias", BackbonePart.QUERY_KEY),
        ("backbone.network.encoder.layer.1.attention.k_norm.weight", BackbonePart.QUERY_KEY),
        ("backbone.network.encoder.layer.0.attention.v_proj.weight", BackbonePart.CONTENT),
        ("backbone.network.encoder.layer.0.attention.projection_layer.bias", BackbonePart.CONTENT),
        ("backbone.network.embeddings.cls_token", BackbonePart.CONTENT),
        ("connector.blocks.0.query.weight", None),
        ("connector.queries", None),
    ],
)
def test_names_have_their_part(name: str, part: BackbonePart | None) -> None:
    assert part_of(name) is part


@pytest.mark.parametrize("routing", [ORTHOGONAL, TRUNK_ROUTED], ids=lambda routing: routing.name)
@pytest.mark.parametrize("stage", [FIRST, THIRD], ids=lambda stage: stage.name)
def test_the_parts_refine_the_table_of_groups(routing: Routing, stage) -> None:
    """A group hears a loss where one of its weights does; outside a split backbone every weight of
    a group agrees.
    """
    fields = (stage.trunk_hears, stage.trains_backbone, routing)
    assert routes_of(routing) is ROUTES
    for loss in Loss:
        heard: dict[str, set[bool]] = {}
        for name, _ in small_tokenizer().named_parameters():
            heard.setdefault(group_of(name), set()).add(may_reach_weight(loss, name, *fields))
        for group, answers in heard.items():
            assert any(answers) == may_reach(loss, group, *fields)
            assert len(answers) == 1 or (routing.backbone_split and group == "backbone")


def test_groups_split_the_backbone_only_where_the_routing_does() -> None:
    tokenizer = small_tokenizer()
    whole, parts = (routed_groups(tokenizer, routing) for routing in (ORTHOGONAL, TRUNK_ROUTED))
    assert set(parts) - set(whole) == {"backbone W_Q, W_K"}
    assert whole["backbone"].keys() == parts["backbone"].keys() | parts["backbone W_Q, W_K"].keys()
    assert len(parts["backbone W_Q, W_K"]) == 2 * 2 * len(LAYERS) and TINY.num_blocks == 6
