"""The block as the authors' release wires it (muse/models/muse_vit.py, lines 134 to 205): the
baseline "release".

    texture    H_{l+1} = FFN-residual(H_l + W_O sg(A_l) W_V' norm(H_l))
    topology   A_l of the last block alone is supervised, and reads H_l as it is:
               its gradient enters all that lies below
    semantic   S = W_V H_L-1, of the last block's raw input:
               neither normalised, nor gathered by A, nor decoded

Rotary positions run along the raster, as theirs do, where the tokenizer's form is "release" too
(`connector_form`); the baseline keeps our 2-D ones, which are not what it is about."""

from dataclasses import replace

from torch import Tensor

from muse_core.attention import QueryKeys
from muse_core.config.stage import Loss
from muse_core.models.gradient_routes import Routing
from muse_core.models.synergistic_block import BlockState, SynergisticBlock, merged


class ReleaseBlock(SynergisticBlock):
    """``last``: whether it is the one that topology and semantics supervise."""

    def __init__(
        self, width: int, num_heads: int, feedforward_ratio: float, routing: Routing, last: bool
    ) -> None:
        super().__init__(width, num_heads, feedforward_ratio, routing)
        self.last = last

    def forward(
        self, state: BlockState, rotary: Tensor, trunk_hears: frozenset[Loss], with_attention: bool
    ) -> tuple[BlockState, QueryKeys | None]:
        """As `SynergisticBlock.forward`; queries and keys of all blocks but the last carry no
        gradient.
        """
        attention = self.query_keys(state, rotary, trunk_hears=True)
        values = self.heads(self.texture_value, self.texture_norm(state.hidden))
        hidden = state.hidden + self.output(merged(self.attend(attention, values)))
        hidden = hidden + self.feedforward(self.feedforward_norm(hidden))
        semantic = self.semantic_value(state.hidden) if self.last else state.semantic
        supervised = attention if self.last else attention.detach()
        after = replace(state, hidden=hidden, semantic=semantic)
        return after, supervised if with_attention else None
