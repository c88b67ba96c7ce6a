"""Other attentions with the same isolation, each as what differs from the paper's block.

Each keeps the table of `gradient_routes`: structure trains what makes the map, semantics their own
values, pixels the rest.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from muse_core.attention import QueryKeys
from muse_core.errors import MuseError, chosen
from muse_core.models.gradient_routes import Routing, stop_gradient
from muse_core.models.synergistic_block import BlockState, Linear, SynergisticBlock
from muse_core.shapes import Tokens

QUERIES_PER_KEY = 2
"""Query heads that share a key and value head in `GroupedQueryBlock`."""


class NoRotaryBlock(SynergisticBlock):
    """q and k carry no positions: every rotation is by no angle (sine 0, cosine 1)."""

    words = "without rotary positions"

    def query_keys(self, state: BlockState, rotary: Tensor, trunk_hears: bool) -> QueryKeys:
        sine, cosine = rotary.chunk(2, dim=-1)
        still = torch.cat([torch.zeros_like(sine), torch.ones_like(cosine)], -1)
        return super().query_keys(state, still, trunk_hears)


class GroupedQueryBlock(SynergisticBlock):
    """Two query heads share a key and value head (Ainslie et al. 2023, arXiv 2305.13245).

    Raises:
        MuseError: Where the heads do not divide.
    """

    words = "two query heads share a key and value head"

    def __init__(self, width: int, num_heads: int, ratio: float, routing: Routing) -> None:
        if num_heads % QUERIES_PER_KEY:
            raise MuseError(
                f"Attention 'grouped-query' lets {QUERIES_PER_KEY} query heads share a key head, "
                f"and {num_heads} heads do not divide by that: "
                f"use a multiple of {QUERIES_PER_KEY} heads."
            )
        super().__init__(width, num_heads, ratio, routing)
        self.key = Linear(width, width // QUERIES_PER_KEY)
        self.semantic_value = Linear(width, width // QUERIES_PER_KEY)
        if routing.separate_values:
            self.texture_value = Linear(width, width // QUERIES_PER_KEY)

    def heads(self, projection: nn.Module, read: Tokens) -> Tensor:
        heads = super().heads(projection, read)
        return heads if projection is self.query else heads.repeat_interleave(QUERIES_PER_KEY, 1)


class SharedProjectionBlock(SynergisticBlock):
    """All projections read one down-projection to half the width, which a routing that isolates
    lets pixels alone train.
    """

    words = "all projections read one shared down-projection"

    def __init__(self, width: int, num_heads: int, ratio: float, routing: Routing) -> None:
        super().__init__(width, num_heads, ratio, routing)
        for name in ("query", "key", "semantic_value", "texture_value"):
            if hasattr(self, name):
                setattr(self, name, Linear(width // 2, width))
        self.shared_projection = Linear(width, width // 2)

    def heads(self, projection: nn.Module, read: Tokens) -> Tensor:
        weight = self.shared_projection.weight
        texture = getattr(self, "texture_value", None)
        if self.routing.streams_isolated and projection is not texture:
            weight = stop_gradient(weight)
        return super().heads(projection, F.linear(read, weight))


class GatedBlock(SynergisticBlock):
    """Each head's result is scaled by sigmoid(W_g x), with a gate for each stream."""

    words = "each head is scaled by a learned gate"

    def __init__(self, width: int, num_heads: int, ratio: float, routing: Routing) -> None:
        super().__init__(width, num_heads, ratio, routing)
        self.semantic_gate = nn.Linear(width, num_heads)
        if routing.separate_values:
            self.texture_gate = nn.Linear(width, num_heads)

    def gather(
        self, attention: QueryKeys, semantic_read: Tokens, texture_read: Tokens
    ) -> tuple[Tokens, Tokens]:
        seen, content = super().gather(attention, semantic_read, texture_read)
        semantic_scales = self._scales(self.semantic_gate(semantic_read))
        texture_scales = self.routing.into_texture(semantic_scales)
        if self.routing.separate_values:
            texture_scales = self._scales(self.texture_gate(texture_read))
        return seen * semantic_scales, content * texture_scales

    def _scales(self, gates: Tensor) -> Tokens:
        """One sigmoid a token and head, for each channel of the head."""
        return gates.sigmoid().repeat_interleave(self.head_width, dim=-1)


VARIANTS: dict[str, type[SynergisticBlock]] = {
    "multi-head": SynergisticBlock,
    "no-rotary": NoRotaryBlock,
    "grouped-query": GroupedQueryBlock,
    "shared-projection": SharedProjectionBlock,
    "gated": GatedBlock,
}
"""``attention=name`` -> the class of the blocks."""


def variant_named(name: str) -> type[SynergisticBlock]:
    """Raises MuseError for an unknown name."""
    return chosen("attention", name, VARIANTS)
