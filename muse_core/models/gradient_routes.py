"""The routing table, and the stop-gradients that enforce it.

The heart of the project: which loss may touch which weights. `ROUTES` states it, `SynergisticBlock`
obeys it through `Routing`, the tests walk it, the notebooks plot it against measured gradients.

A single backward pass suffices, because the value of every stream is exact while its gradient has
one way to go:

    route(H) = sg(H) + (H_0 - sg(H_0))

has the value of H, and its gradient goes straight to H_0, past every block in between.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from torch import Tensor

from muse_core.config.stage import PIXEL_LOSSES, SEMANTIC_LOSSES, Loss
from muse_core.errors import MuseError, chosen, shown
from muse_core.shapes import Tokens


class WeightGroup(StrEnum):
    """Every weight of the tokenizer belongs to one group.

    Those that write the latent's semantic band are of the projector's group, those that read it for
    the decoder of the decoder's.
    """

    QUERY_KEY = "W_Q, W_K"
    SEMANTIC_VALUE = "W_V semantic"
    SEMANTIC_HEAD = "projector, temperature"
    TEXTURE = "W_V texture, W_O, FFN"
    PIXEL_HEAD = "to_latent, decoder"
    TRUNK = "adapter, queries"
    BACKBONE = "backbone"


BLOCK_GROUPS = (WeightGroup.QUERY_KEY, WeightGroup.SEMANTIC_VALUE, WeightGroup.TEXTURE)
"""Groups that exist once in each block: a route to one of them must be open in every block."""


class Route(StrEnum):
    """Whether a loss's gradient reaches a weight group."""

    NEVER = "exactly 0"
    ALWAYS = "always"
    TRUNK = "where the stage lets the trunk hear this loss"


_TRUNK = {WeightGroup.TRUNK: Route.TRUNK, WeightGroup.BACKBONE: Route.TRUNK}
_TOPOLOGY = {WeightGroup.QUERY_KEY: Route.ALWAYS, **_TRUNK}
_ANCHOR = {
    WeightGroup.SEMANTIC_VALUE: Route.ALWAYS,
    WeightGroup.SEMANTIC_HEAD: Route.ALWAYS,
    **_TRUNK,
}
_PIXELS = {
    WeightGroup.TEXTURE: Route.ALWAYS,
    WeightGroup.PIXEL_HEAD: Route.ALWAYS,
    **_TRUNK,
}

ROUTES: dict[Loss, dict[WeightGroup, Route]] = {
    loss: {group: open_routes.get(group, Route.NEVER) for group in WeightGroup}
    for loss, open_routes in (
        {Loss.TOPOLOGY: _TOPOLOGY}
        | dict.fromkeys(sorted(SEMANTIC_LOSSES), _ANCHOR)
        | dict.fromkeys(sorted(PIXEL_LOSSES), _PIXELS)
    ).items()
}
"""loss -> weight group -> `Route`, for ``routing="orthogonal"``."""

READER_ROUTES: dict[str, dict[WeightGroup, Route]] = {
    loss: dict.fromkeys(WeightGroup, Route.NEVER)
    for loss in ("answer", "flow_matching", "text_alignment")
}
"""The same of networks that read a finished tokenizer, the language side's projector and the
denoiser: they learn from what it sees, and reach no weight of it, under any routing.
"""


def stop_gradient(x: Tensor) -> Tensor:
    """sg(x): the value, without its history."""
    return x.detach()


def straight_to(trunk: Tokens, hidden: Tokens) -> Tokens:
    """route(H): exactly the value of ``hidden``; the gradient goes to ``trunk`` alone."""
    return hidden.detach() + (trunk - trunk.detach())


@dataclass(frozen=True)
class Routing:
    """Which gradient paths inside a block are cut; by default as MUSE cuts them.

    ``separate_values``: semantics and texture have a W_V each. ``streams_isolated``: topology and
    semantic streams read route(H) instead of H. ``attention_cut``: values are gathered with sg(A).
    ``semantics_cut``: texture reads sg(V_sem). ``pools_hidden``: semantics are read off the decoded
    stream H_L, without a stream of their own. ``last_block_only``: only the last block is
    supervised, as in the authors' release (`release_block`). ``backbone_split``: in the backbone,
    topology trains W_Q, W_K alone and the other losses all the rest (`backbone_routes`)."""

    name: str
    separate_values: bool = True
    streams_isolated: bool = True
    attention_cut: bool = True
    semantics_cut: bool = True
    pools_hidden: bool = False
    last_block_only: bool = False
    backbone_split: bool = False

    def read(self, hidden: Tokens, trunk: Tokens, trunk_hears: bool) -> Tokens:
        """What the topology or the semantic stream reads of the hidden state."""
        if not self.streams_isolated:
            return hidden
        return straight_to(trunk, hidden) if trunk_hears else stop_gradient(hidden)

    def gather_with(self, query_or_key: Tensor) -> Tensor:
        """Queries or keys as used to gather values."""
        return stop_gradient(query_or_key) if self.attention_cut else query_or_key

    def into_texture(self, semantic_values: Tensor) -> Tensor:
        """Semantic values as used by the texture stream."""
        return stop_gradient(semantic_values) if self.semantics_cut else semantic_values


ORTHOGONAL = Routing("orthogonal")
SHARED = Routing("shared", False, False, False, False)
"""One W_V, nothing detached, losses summed; what is understood is still a stream of its own, the
sum of what every block gathered.
"""

NAIVE = replace(SHARED, name="naive", pools_hidden=True)
"""The naive baseline of the paper's ablation: shared, and the stream that is decoded is itself what
is understood.
"""

LITERAL = Routing("literal", separate_values=False)
"""The paper's text to the letter: one W_V, H_attn = A V_sem. Topology trains W_Q, W_K, semantics
W_V, and pixels the rest: they read sg(V_sem) and have no values of their own.
"""

LITERAL_OPEN = replace(LITERAL, name="literal-open", semantics_cut=False)
"""The same without the stop-gradient: pixels train W_V too."""

RELEASE = Routing("release", streams_isolated=False, last_block_only=True)
"""As the authors' code routes: topology and semantics supervise the last block, and leak into what
lies below it.
"""

TRUNK_ROUTED = Routing("trunk-routed", backbone_split=True)
"""Orthogonal in the backbone too, once a stage trains it: the same table of groups, refined by
`backbone_routes.HEARS`.
"""

ROUTINGS = {
    routing.name: routing
    for routing in (ORTHOGONAL, SHARED, NAIVE, LITERAL, LITERAL_OPEN, RELEASE, TRUNK_ROUTED)
}


SHIPPED = frozenset(ROUTINGS.values())
"""Those that a saved tokenizer may name; any other is saved with its fields."""


def routing_named(name: str) -> Routing:
    """Raises MuseError for an unknown name."""
    return chosen("routing", name, ROUTINGS)


def routing_given(given: "str | Mapping[str, Any] | Routing") -> Routing:
    """A routing by its name in `ROUTINGS`, by its fields, or as it is. Raises MuseError for an
    unknown name or field.
    """
    if isinstance(given, str):
        return routing_named(given)
    if isinstance(given, Routing):
        return given
    try:
        return Routing(**given)
    except TypeError as error:
        raise MuseError(
            f"A routing cannot have the fields {shown(dict(given))}: give a name of ROUTINGS, or "
            "those of Routing."
        ) from error


def routes_of(routing: Routing) -> dict[Loss, dict[WeightGroup, Route]]:
    """The table of a routing; one whose streams are not isolated promises nothing."""
    if not routing.streams_isolated:
        return {loss: dict.fromkeys(WeightGroup, Route.ALWAYS) for loss in Loss}
    if routing.semantics_cut and routing.attention_cut:
        return ROUTES
    leaks: dict[Loss, dict[WeightGroup, Route]] = {loss: {} for loss in Loss}
    if not routing.semantics_cut:
        for loss in PIXEL_LOSSES:
            leaks[loss][WeightGroup.SEMANTIC_VALUE] = Route.ALWAYS
    if not routing.attention_cut:
        for loss in PIXEL_LOSSES | SEMANTIC_LOSSES:
            leaks[loss][WeightGroup.QUERY_KEY] = Route.ALWAYS
    return {loss: row | leaks[loss] for loss, row in ROUTES.items()}


def may_reach(
    loss: Loss,
    group: WeightGroup,
    trunk_hears: frozenset[Loss],
    trains_backbone: bool,
    routing: Routing = ORTHOGONAL,
) -> bool:
    """Whether the table lets a loss's gradient into a group of weights.

    Args:
        loss: Whose gradient.
        group: Into which weights.
        trunk_hears: Losses that the stage lets into the trunk.
        trains_backbone: Whether the stage trains the backbone.
        routing: Which paths are cut.
    """
    if group is WeightGroup.BACKBONE and not trains_backbone:
        return False
    route = routes_of(routing)[loss][group]
    return route is Route.ALWAYS or (route is Route.TRUNK and loss in trunk_hears)


def open_routes(
    losses: Mapping[str, Loss],
    trunk_hears: frozenset[Loss],
    trains_backbone: bool,
    routing: Routing = ORTHOGONAL,
) -> dict[str, dict[str, bool]]:
    """The table of a stage in words: loss -> weight group -> whether its gradient arrives there.

    Args:
        losses: Name of each loss, one's own included -> the loss of the paper whose row it has.
        trunk_hears: As in `may_reach`, like ``trains_backbone`` and ``routing``.
    """
    return {
        str(name): {
            str(group): may_reach(like, group, trunk_hears, trains_backbone, routing)
            for group in WeightGroup
        }
        for name, like in losses.items()
    }
