"""The connector: backbone tokens -> H_0 -> six synergistic blocks -> texture stream H_L and
semantic stream S_L.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from timm.layers import RotaryEmbeddingCat
from torch import Tensor, nn

from muse_core.attention import QueryKeys
from muse_core.config.stage import PIXEL_LOSSES, Loss
from muse_core.errors import MuseError
from muse_core.models.connector_form import MUSE_FORM, ConnectorForm
from muse_core.models.gradient_routes import Routing
from muse_core.models.release_block import ReleaseBlock
from muse_core.models.synergistic_block import BlockState, SynergisticBlock
from muse_core.shapes import Float, Tokens


@dataclass(frozen=True)
class ConnectorOutput:
    """``hidden`` H_L feeds the decoder, ``semantic`` S_L the projector; ``trunk`` H_0 is what the
    first block reads; ``attention`` one layer per block, if asked for.
    """

    hidden: Tokens
    semantic: Tokens
    trunk: Tokens
    attention: tuple[QueryKeys, ...]


class Connector(nn.Module):
    """Unshuffle (s x s patches to one token), adapter, learnable queries (one per latent position),
    blocks.
    """

    def __init__(
        self,
        backbone_width: int,
        unshuffle: int,
        width: int,
        num_heads: int,
        num_blocks: int,
        feedforward_ratio: float,
        query_grid: int,
        routing: Routing,
        block: type[SynergisticBlock] = SynergisticBlock,
        form: ConnectorForm = MUSE_FORM,
    ) -> None:
        """``query_grid``: side of the grid the queries are stored on; they are resized for other
        grids.

        Raises MuseError for a variant whose heads do not divide, for one that the release's routing
        does not have, and for no blocks where semantics are a stream of theirs."""
        super().__init__()
        self.unshuffle, self.query_grid, self.form = unshuffle, query_grid, form
        self.pools_hidden = routing.pools_hidden
        joined = backbone_width * unshuffle**2
        self.adapter = nn.Sequential(
            nn.RMSNorm(joined, eps=1e-6),
            nn.Linear(joined, width, bias=False),
            *([nn.GELU()] if form.adapter_gelu else []),
        )
        if form.learned_queries:
            self.queries = nn.Parameter(torch.randn(1, query_grid**2, width) * 0.02)
        # timm gives half of its width to each of two axes: the raster is one.
        rotated, base = (2, 10_000.0) if form.raster_rotary else (1, 100.0)
        self.rotary = RotaryEmbeddingCat(
            rotated * width // num_heads, in_pixels=False, temperature=base
        )
        if not num_blocks and not routing.pools_hidden:
            raise MuseError(
                "A connector without blocks has no semantic stream: use routing=naive with "
                "connector.num_blocks=0, or one block at least."
            )
        shape = (width, num_heads, feedforward_ratio, routing)
        if routing.last_block_only and block is not SynergisticBlock:
            raise MuseError(
                f"Routing {routing.name!r} is the authors' own block: "
                "use attention='multi-head' with it."
            )
        self.blocks = nn.ModuleList(
            ReleaseBlock(*shape, last=index == num_blocks - 1)
            if routing.last_block_only
            else block(*shape)
            for index in range(num_blocks)
        )

    def forward(
        self,
        tokens: Float[Tensor, "batch patches backbone_width"],
        grid: tuple[int, int],
        trunk_hears: frozenset[Loss],
        with_attention: bool,
        structure: Float[Tensor, "batch patches backbone_width"] | None = None,
    ) -> ConnectorOutput:
        """``tokens``: backbone patches in raster order on ``grid`` (rows, columns), both divisible
        by the unshuffle factor; ``structure``: the same values as topology's gradient sees them,
        where that differs (`backbone_routes`)."""
        trunk = self.trunk(tokens, grid)
        structural = None if structure is None else self.trunk(structure, grid)
        rows, columns = (side // self.unshuffle for side in grid)
        axes = [rows * columns] if self.form.raster_rotary else [rows, columns]
        rotary = self.rotary.get_embed(axes).to(trunk.dtype)
        heard = trunk if trunk_hears & PIXEL_LOSSES else trunk.detach()
        state, attention = BlockState(heard, torch.zeros_like(trunk), trunk, structural), []
        for block in self.blocks:
            state, query_keys = block(state, rotary, trunk_hears, with_attention)
            attention.append(query_keys)
        semantic = state.hidden if self.pools_hidden else state.semantic
        layers = tuple(attention) if with_attention else ()
        return ConnectorOutput(state.hidden, semantic, trunk, layers)

    def trunk(
        self, tokens: Float[Tensor, "batch patches backbone_width"], grid: tuple[int, int]
    ) -> Float[Tensor, "batch tokens width"]:
        """H_0: adapted patches, plus queries where the form has them."""
        side = self.unshuffle
        rows, columns = grid[0] // side, grid[1] // side
        cells = {"h": rows, "w": columns, "p": side, "q": side}
        joined = rearrange(tokens, "b (h p w q) c -> b (h w) (p q c)", **cells)
        adapted = self.adapter(joined)
        queries = self.form.learned_queries
        return adapted + self.queries_for((rows, columns)) if queries else adapted

    def queries_for(self, grid: tuple[int, int]) -> Tokens:
        """The queries on a grid (rows, columns), resized when it is not the stored one."""
        if grid == (self.query_grid, self.query_grid):
            return self.queries
        stored = rearrange(self.queries, "b (h w) c -> b c h w", h=self.query_grid)
        resized = F.interpolate(stored, grid, mode="bicubic", antialias=True, align_corners=False)
        return rearrange(resized, "b c h w -> b (h w) c")
