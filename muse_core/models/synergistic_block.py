"""The Synergistic Block: one attention whose routing, semantic content and texture are trained by
different losses.

Figure 2 of arXiv 2605.05646, and stricter than the authors' release (which trains W_Q, W_K of its
last block only). R = route(H_l) has the value of H_l and a gradient to H_0 alone:

    topology   A_l     = softmax(q k^T / sqrt(d))
    semantic   S_{l+1} = S_l + sg(A_l) V_sem
    texture    H_{l+1} = FFN-residual(H_l + W_O sg(A_l) (V_tex + sg(V_sem)))

with q = rotary(norm(W_Q R)), k = rotary(norm(W_K R)), V_sem = W_V R and V_tex = W_V' H_l.

Other attentions with the same isolation stand in `block_variants`.
"""

from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from einops import rearrange
from timm.layers import SwiGLU, apply_rot_embed_cat
from torch import Tensor, nn

from muse_core.attention import QueryKeys
from muse_core.config.stage import SEMANTIC_LOSSES, Loss
from muse_core.models.gradient_routes import Routing
from muse_core.shapes import Tokens

RMSNorm = partial(nn.RMSNorm, eps=1e-6)
Linear = partial(nn.Linear, bias=False)


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


class SynergisticBlock(nn.Module):
    """One block of the connector, by the three equations of this module.

    Args:
        width: Channels of a token, a multiple of 4 x ``num_heads``.
        num_heads: Heads of the attention.
        feedforward_ratio: Hidden width of the feed-forward network over ``width``.
        routing: Which gradient paths are cut.
    """

    words = "the block of MUSE: 2-D rotary positions, a key and value head for every query head"
    """For tables."""

    def __init__(
        self, width: int, num_heads: int, feedforward_ratio: float, routing: Routing
    ) -> None:
        super().__init__()
        self.routing, self.head_width = routing, width // num_heads
        self.topology_norm = RMSNorm(width)
        self.query, self.key = Linear(width, width), Linear(width, width)
        self.query_norm, self.key_norm = RMSNorm(self.head_width), RMSNorm(self.head_width)
        self.semantic_norm, self.semantic_value = RMSNorm(width), Linear(width, width)
        if routing.separate_values:
            self.texture_norm, self.texture_value = RMSNorm(width), Linear(width, width)
        self.output = Linear(width, width)
        self.feedforward_norm = RMSNorm(width)
        self.feedforward = SwiGLU(width, int(width * feedforward_ratio), bias=False)

    def forward(
        self, state: BlockState, rotary: Tensor, trunk_hears: frozenset[Loss], with_attention: bool
    ) -> tuple[BlockState, QueryKeys | None]:
        """The next state and, if asked for, the queries and keys that the topology loss trains."""
        attention = self.query_keys(state, rotary, Loss.TOPOLOGY in trunk_hears)
        semantic_read = self.semantic_norm(
            self.routing.read(state.hidden, state.trunk, bool(SEMANTIC_LOSSES & trunk_hears))
        )
        split = self.routing.separate_values
        texture_read = self.texture_norm(state.hidden) if split else semantic_read
        seen, content = self.gather(attention, semantic_read, texture_read)
        hidden = state.hidden + self.output(content)
        hidden = hidden + self.feedforward(self.feedforward_norm(hidden))
        after = replace(state, hidden=hidden, semantic=state.semantic + seen)
        return after, attention if with_attention else None

    def query_keys(self, state: BlockState, rotary: Tensor, trunk_hears: bool) -> QueryKeys:
        """q and k of A_l, with as many heads each."""
        trunk = state.trunk if state.structure is None else state.structure
        read = self.topology_norm(self.routing.read(state.hidden, trunk, trunk_hears))
        queries = self.query_norm(self.heads(self.query, read))
        keys = self.key_norm(self.heads(self.key, read))
        queries, keys = apply_rot_embed_cat(queries, rotary), apply_rot_embed_cat(keys, rotary)
        return QueryKeys(queries, keys, queries.shape[-1] ** -0.5)

    def gather(
        self, attention: QueryKeys, semantic_read: Tokens, texture_read: Tokens
    ) -> tuple[Tokens, Tokens]:
        """sg(A_l) V_sem and sg(A_l) (V_tex + sg(V_sem)), in one fused attention call."""
        semantic_values = self.heads(self.semantic_value, semantic_read)
        texture_values = self.routing.into_texture(semantic_values)
        if self.routing.separate_values:
            texture_values = self.heads(self.texture_value, texture_read) + texture_values
        values = torch.cat([semantic_values, texture_values], -1)
        seen, content = self.attend(attention, values).chunk(2, dim=-1)
        return merged(seen), merged(content)

    def attend(self, attention: QueryKeys, values: Tensor) -> Tensor:
        """A V by head, with the gradient of A as the routing wants it."""
        cut = self.routing.gather_with
        queries, keys = cut(attention.queries), cut(attention.keys)
        return F.scaled_dot_product_attention(queries, keys, values, scale=attention.scale)

    def heads(self, projection: nn.Module, read: Tokens) -> Tensor:
        """Projected tokens by head: (batch, heads, tokens, head width)."""
        return rearrange(projection(read), "b n (heads d) -> b heads n d", d=self.head_width)


def merged(heads: Tensor) -> Tokens:
    """The heads of a token, side by side again."""
    return rearrange(heads, "b heads n d -> b n (heads d)")
