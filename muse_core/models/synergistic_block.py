"""The Synergistic Block: one attention whose routing, semantic content and texture are trained by
different losses.

Figure 2 of arXiv 2605.05646, and stricter than the authors' release (which trains W_Q, W_K of its
last block only):

    topology   A_l     = softmax(q k^T / sqrt(d)),  q, k = rotary(norm(W_Q R)), rotary(norm(W_K R)),  R = route(H_l)
    semantic   S_{l+1} = S_l + sg(A_l) V_sem,                                   V_sem = W_V R
    texture    H_{l+1} = FFN-residual(H_l + W_O sg(A_l) (V_tex + sg(V_sem))),   V_tex = W_V' H_l
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from einops import rearrange
from timm.layers import SwiGLU, apply_rot_embed_cat
from torch import Tensor, nn

from muse_core.attention import QueryKeys
from muse_core.config.stage import SEMANTIC_LOSSES, Loss
from muse_core.models.block_variants import MULTI_HEAD, AttentionVariant
from muse_core.models.gradient_routes import Routing, stop_gradient
from muse_core.shapes import Tokens


@dataclass(frozen=True)
class BlockState:
    """What flows from block to block: hidden state H_l, semantic stream S_l, and the trunk H_0 they
    started from.

    ``structure``: H_0 as topology's route(H) reaches it, None where it is ``trunk``
    (`backbone_routes`)."""

    hidden: Tokens
    semantic: Tokens
    trunk: Tokens
    structure: Tokens | None = None

    def after(self, hidden: Tokens, semantic: Tokens) -> "BlockState":
        """The state behind a block: the streams move, the trunk stays."""
        return replace(self, hidden=hidden, semantic=semantic)


class SynergisticBlock(nn.Module):
    """One block of the connector; see the module's equations, and `attention_variants` for what
    else it can be.
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        feedforward_ratio: float,
        routing: Routing,
        variant: AttentionVariant = MULTI_HEAD,
    ) -> None:
        """Raises MuseError where the variant's heads do not divide."""
        super().__init__()
        variant.check(width, num_heads)
        self.num_heads, self.routing, self.variant = num_heads, routing, variant
        head_width, read_width = width // num_heads, width // 2 if variant.compressed else width
        key_width = width // variant.queries_per_key
        self.topology_norm = nn.RMSNorm(width, eps=1e-6)
        self.query = nn.Linear(read_width, width, bias=False)
        self.key = nn.Linear(read_width, key_width, bias=False)
        self.query_norm = nn.RMSNorm(head_width, eps=1e-6)
        self.key_norm = nn.RMSNorm(head_width, eps=1e-6)
        self.semantic_norm = nn.RMSNorm(width, eps=1e-6)
        self.semantic_value = nn.Linear(read_width, key_width, bias=False)
        if routing.separate_values:
            self.texture_norm = nn.RMSNorm(width, eps=1e-6)
            self.texture_value = nn.Linear(read_width, key_width, bias=False)
        self.output = nn.Linear(width, width, bias=False)
        self.feedforward_norm = nn.RMSNorm(width, eps=1e-6)
        self.feedforward = SwiGLU(width, int(width * feedforward_ratio), bias=False)
        if variant.compressed:
            self.shared_projection = nn.Linear(width, read_width, bias=False)
        if variant.gated:
            self.semantic_gate = nn.Linear(width, num_heads)
        if variant.gated and routing.separate_values:
            self.texture_gate = nn.Linear(width, num_heads)

    def forward(
        self, state: BlockState, rotary: Tensor, trunk_hears: frozenset[Loss], with_attention: bool
    ) -> tuple[BlockState, QueryKeys | None]:
        """The next state and, if asked for, the queries and keys that the topology loss trains."""
        attention = self._query_keys(state, rotary, Loss.TOPOLOGY in trunk_hears)
        semantic_read = self.semantic_norm(
            self.routing.read(state.hidden, state.trunk, bool(SEMANTIC_LOSSES & trunk_hears))
        )
        semantic_values = self._heads(self.semantic_value(self._compressed(semantic_read)))
        texture_read = (
            self.texture_norm(state.hidden) if self.routing.separate_values else semantic_read
        )
        texture_values = self._texture_values(texture_read, semantic_values)
        seen, content = self._gather(attention, semantic_values, texture_values)
        seen, content = self._gated(seen, content, semantic_read, texture_read)
        hidden = state.hidden + self.output(content)
        hidden = hidden + self.feedforward(self.feedforward_norm(hidden))
        return state.after(hidden, state.semantic + seen), attention if with_attention else None

    def _query_keys(self, state: BlockState, rotary: Tensor, trunk_hears: bool) -> QueryKeys:
        """Both with as many heads as there are queries."""
        trunk = state.trunk if state.structure is None else state.structure
        read = self._compressed(
            self.topology_norm(self.routing.read(state.hidden, trunk, trunk_hears))
        )
        queries = self.query_norm(self._heads(self.query(read)))
        keys = self._for_every_query(self.key_norm(self._heads(self.key(read))))
        if self.variant.rotary:
            queries, keys = apply_rot_embed_cat(queries, rotary), apply_rot_embed_cat(keys, rotary)
        return QueryKeys(queries, keys, queries.shape[-1] ** -0.5)

    def _texture_values(self, read: Tokens, semantic_values: Tensor) -> Tensor:
        if not self.routing.separate_values:
            return semantic_values
        texture_values = self._heads(self.texture_value(self._compressed(read, for_pixels=True)))
        return texture_values + self.routing.into_texture(semantic_values)

    def _compressed(self, read: Tokens, for_pixels: bool = False) -> Tensor:
        """The shared down-projection, where the variant has one; a routing that isolates lets
        pixels alone train it.
        """
        if not self.variant.compressed:
            return read
        weight = self.shared_projection.weight
        return F.linear(
            read,
            weight if for_pixels or not self.routing.streams_isolated else stop_gradient(weight),
        )

    def _gather(
        self, attention: QueryKeys, semantic: Tensor, texture: Tensor
    ) -> tuple[Tensor, Tensor]:
        """A V for both streams, by head, in one fused attention call."""
        gathered = self._attend(
            attention, self._for_every_query(torch.cat([semantic, texture], -1))
        )
        seen, content = gathered.chunk(2, dim=-1)
        return seen, content

    def _attend(self, attention: QueryKeys, values: Tensor) -> Tensor:
        """A V by head, with the gradient of A as the routing wants it."""
        cut = self.routing.gather_with
        return F.scaled_dot_product_attention(
            cut(attention.queries), cut(attention.keys), values, scale=attention.scale
        )

    def _gated(
        self, seen: Tensor, content: Tensor, semantic_read: Tokens, texture_read: Tokens
    ) -> tuple[Tokens, Tokens]:
        """Heads merged, each scaled by its gate where the variant has gates."""
        if self.variant.gated:
            texture_gate = self.texture_gate if self.routing.separate_values else self.semantic_gate
            seen = seen * _by_head(self.semantic_gate(semantic_read))
            content = content * _by_head(texture_gate(texture_read))
        return self._merge(seen), self._merge(content)

    def _for_every_query(self, heads: Tensor) -> Tensor:
        """Key or value heads repeated for the query heads that share them."""
        each = self.variant.queries_per_key
        return heads if each == 1 else heads.repeat_interleave(each, dim=1)

    def _heads(self, tokens: Tokens) -> Tensor:
        return rearrange(tokens, "b n (heads d) -> b heads n d", d=self.query_norm.weight.shape[0])

    def _merge(self, heads: Tensor) -> Tokens:
        return rearrange(heads, "b heads n d -> b n (heads d)")


def _by_head(gates: Tensor) -> Tensor:
    """One sigmoid a token and head, ready to scale (batch, heads, tokens, width)."""
    return rearrange(gates.sigmoid(), "b n heads -> b heads n 1")
