"""The routing table one level further in: which losses train which part of the backbone, where a
routing splits it.

As in the blocks, structure goes to W_Q, W_K and content to all the rest. One pass cannot do both,
because the layers read one another: the backbone runs twice, with equal values and different
weights detached, and H_0 exists in two versions.

    structure   H_0 of detached content, live W_Q, W_K     read by topology's route(H)
    content     H_0 of detached W_Q, W_K, live content     read by semantics and texture
"""

import re
from enum import StrEnum

import torch
from torch import nn
from torch.func import functional_call

from muse_core.config.stage import PIXEL_LOSSES, SEMANTIC_LOSSES, Loss
from muse_core.errors import MuseError
from muse_core.models.gradient_routes import Routing, WeightGroup, may_reach
from muse_core.models.weight_groups import group_of, weight_groups
from muse_core.shapes import Images, Tokens


class BackbonePart(StrEnum):
    """Every weight of the backbone belongs to one part."""

    CONTENT = "backbone"
    QUERY_KEY = "backbone W_Q, W_K"


HEARS: dict[BackbonePart, frozenset[Loss]] = {
    BackbonePart.CONTENT: SEMANTIC_LOSSES | PIXEL_LOSSES,
    BackbonePart.QUERY_KEY: frozenset({Loss.TOPOLOGY}),
}
"""part -> the losses that may reach it, for a routing with ``backbone_split``; without, both parts
hear all of them.
"""

QUERY_KEY_PATTERN = r"backbone\..*\.(attention|self_attn)\.[qk]_(proj|norm)\."


def part_of(name: str) -> BackbonePart | None:
    """The backbone's part a parameter of `MuseTokenizer` belongs to, by its name; None outside the
    backbone.
    """
    if group_of(name) is not WeightGroup.BACKBONE:
        return None
    return BackbonePart.QUERY_KEY if re.match(QUERY_KEY_PATTERN, name) else BackbonePart.CONTENT


def check_split(backbone: nn.Module, routing: Routing) -> None:
    """Raises MuseError where a routing splits a backbone that keeps W_Q, W_K and W_V in one
    matrix.
    """
    parts = {part_of(f"backbone.{name}") for name, _ in backbone.named_parameters()}
    if routing.backbone_split and BackbonePart.QUERY_KEY not in parts:
        raise MuseError(
            f"Routing {routing.name!r} trains W_Q and W_K of the backbone apart from the rest, and "
            f"{type(backbone.network).__name__} keeps them in one matrix with W_V: choose a "
            "backbone of transformers, or another routing."
        )


def may_reach_weight(
    loss: Loss, name: str, trunk_hears: frozenset[Loss], trains_backbone: bool, routing: Routing
) -> bool:
    """`may_reach` for one weight, by its name: its group's row and, where the routing splits the
    backbone, its part's.
    """
    part = part_of(name) if routing.backbone_split else None
    in_part = part is None or loss in HEARS[part]
    return in_part and may_reach(loss, group_of(name), trunk_hears, trains_backbone, routing)


def routed_groups(tokenizer: nn.Module, routing: Routing) -> dict[str, dict[str, nn.Parameter]]:
    """`weight_groups` by text, with the backbone in its two parts where the routing splits it."""
    groups = {str(group): members for group, members in weight_groups(tokenizer).items()}
    if routing.backbone_split:
        whole = groups.pop(str(WeightGroup.BACKBONE))
        for part in BackbonePart:
            groups[str(part)] = {
                name: weight for name, weight in whole.items() if part_of(name) is part
            }
    return groups


def backbone_views(
    backbone: nn.Module, images: Images, routing: Routing, topology_heard: bool
) -> tuple[Tokens, Tokens | None]:
    """The backbone's tokens, and equal ones as topology reads them: None where the first serve.

    One pass, or two where the routing splits a backbone that trains and ``topology_heard`` in the
    trunk.
    """
    trains = any(weight.requires_grad for weight in backbone.parameters())
    if not (routing.backbone_split and torch.is_grad_enabled() and trains):
        return backbone(images), None
    content = _seen_by(BackbonePart.CONTENT, backbone, images)
    return content, _seen_by(BackbonePart.QUERY_KEY, backbone, images) if topology_heard else None


def _seen_by(part: BackbonePart, backbone: nn.Module, images: Images) -> Tokens:
    """The tokens, with a gradient to one part's weights alone."""
    others = {
        name: w.detach()
        for name, w in backbone.named_parameters()
        if part_of(f"backbone.{name}") is not part
    }
    return functional_call(backbone, others, (images,))
