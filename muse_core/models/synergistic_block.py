"""The Synergistic Block: one attention whose routing, semantic content and texture are trained by different losses.

Figure 2 of arXiv 2605.05646, and stricter than the authors' release (which trains W_Q, W_K of its last block only):

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

from muse_core.models.gradient_routes import Routing
from muse_core.shapes import AttentionMaps, Tokens
from muse_core.stages import SEMANTIC_LOSSES, Loss


@dataclass(frozen=True)
class BlockState:
    """What flows from block to block: hidden state H_l, semantic stream S_l, and the trunk H_0 they started from.

    ``structure``: H_0 as topology's route(H) reaches it, None where it is ``trunk`` (`backbone_routes`).
    """

    hidden: Tokens
    semantic: Tokens
    trunk: Tokens
    structure: Tokens | None = None

    def after(self, hidden: Tokens, semantic: Tokens) -> "BlockState":
        """The state behind a block: the streams move, the trunk stays."""
        return replace(self, hidden=hidden, semantic=semantic)


class SynergisticBlock(nn.Module):
    """One block of the connector; see the module's equations."""

    def __init__(self, width: int, num_heads: int, feedforward_ratio: float, routing: Routing) -> None:
        super().__init__()
        self.num_heads, self.routing = num_heads, routing
        head_width = width // num_heads
        self.topology_norm = nn.RMSNorm(width, eps=1e-6)
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.query_norm = nn.RMSNorm(head_width, eps=1e-6)
        self.key_norm = nn.RMSNorm(head_width, eps=1e-6)
        self.semantic_norm = nn.RMSNorm(width, eps=1e-6)
        self.semantic_value = nn.Linear(width, width, bias=False)
        if routing.separate_values:
            self.texture_norm = nn.RMSNorm(width, eps=1e-6)
            self.texture_value = nn.Linear(width, width, bias=False)
        self.output = nn.Linear(width, width, bias=False)
        self.feedforward_norm = nn.RMSNorm(width, eps=1e-6)
        self.feedforward = SwiGLU(width, int(width * feedforward_ratio), bias=False)

    def forward(
        self, state: BlockState, rotary: Tensor, trunk_hears: frozenset[Loss], with_logits: bool
    ) -> tuple[BlockState, AttentionMaps | None]:
        """The next state and, if asked for, the attention logits q k^T / sqrt(d) that the topology loss trains."""
        queries, keys = self._queries_and_keys(state, rotary, Loss.TOPOLOGY in trunk_hears)
        semantic_read = self.routing.read(state.hidden, state.trunk, bool(SEMANTIC_LOSSES & trunk_hears))
        semantic_values = self._heads(self.semantic_value(self.semantic_norm(semantic_read)))
        seen, content = self._gather(queries, keys, semantic_values, self._texture_values(state, semantic_values))
        hidden = state.hidden + self.output(content)
        hidden = hidden + self.feedforward(self.feedforward_norm(hidden))
        logits = queries @ keys.transpose(-1, -2) * queries.shape[-1] ** -0.5 if with_logits else None
        return state.after(hidden, state.semantic + seen), logits

    def _queries_and_keys(self, state: BlockState, rotary: Tensor, trunk_hears: bool) -> tuple[Tensor, Tensor]:
        trunk = state.trunk if state.structure is None else state.structure
        read = self.topology_norm(self.routing.read(state.hidden, trunk, trunk_hears))
        queries = self.query_norm(self._heads(self.query(read)))
        keys = self.key_norm(self._heads(self.key(read)))
        return apply_rot_embed_cat(queries, rotary), apply_rot_embed_cat(keys, rotary)

    def _texture_values(self, state: BlockState, semantic_values: Tensor) -> Tensor:
        if not self.routing.separate_values:
            return semantic_values
        texture_values = self._heads(self.texture_value(self.texture_norm(state.hidden)))
        return texture_values + self.routing.into_texture(semantic_values)

    def _gather(self, queries: Tensor, keys: Tensor, semantic: Tensor, texture: Tensor) -> tuple[Tokens, Tokens]:
        """A V for both streams in one fused attention call."""
        cut = self.routing.gather_with
        gathered = F.scaled_dot_product_attention(cut(queries), cut(keys), torch.cat([semantic, texture], -1))
        seen, content = gathered.chunk(2, dim=-1)
        return self._merge(seen), self._merge(content)

    def _heads(self, tokens: Tokens) -> Tensor:
        return rearrange(tokens, "b n (heads d) -> b heads n d", heads=self.num_heads)

    def _merge(self, heads: Tensor) -> Tokens:
        return rearrange(heads, "b heads n d -> b n (heads d)")
