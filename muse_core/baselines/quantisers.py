"""Vector quantisers of unit codes: sub-codebooks side by side (UniTok), and two codebooks with one
index over residual scales (TokenFlow).

Written here because no library has them: vector-quantize-pytorch 1.32 refuses learned codes with
cosine distance, has one weight for both halves of the loss, and shares no index.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from muse_core.baselines.visual_tokenizer import grid_of, to_tokens
from muse_core.errors import MuseError
from muse_core.shapes import Float, Int, Latents, Scalar

COMMITMENT = 0.25
"""Weight of the encoder's half of the loss (van den Oord et al. 2017)."""

Points = Float[Tensor, "... width"]


@dataclass(frozen=True)
class Quantised:
    """``latent`` passes its gradient straight to what was quantised; ``codes`` (batch, positions,
    codebooks); ``loss``: codebook + `COMMITMENT` x commitment.
    """

    latent: Latents
    codes: Int[Tensor, "batch positions codebooks"]
    loss: Scalar


def unit_codes(count: int, width: int) -> nn.Parameter:
    """Random codes of unit length, (count, width)."""
    return nn.Parameter(F.normalize(torch.randn(count, width), dim=-1))


def squared_distances(points: Points, codes: Float[Tensor, "codes width"]) -> Tensor:
    """(..., codes) between unit vectors: 2 - 2 cos."""
    return 2 - 2 * points @ codes.T


def straight_through(points: Tensor, chosen: Tensor) -> Tensor:
    """The chosen codes' values with the points' gradient."""
    return points + (chosen - points).detach()


def codebook_loss(points: Tensor, chosen: Tensor) -> Scalar:
    """The codes are drawn to the points, and with `COMMITMENT` the points to the codes."""
    to_codes = F.mse_loss(points, chosen.detach())
    return F.mse_loss(chosen, points.detach()) + COMMITMENT * to_codes


class SubCodebooks(nn.Module):
    """Each token's channels are split into as many parts as there are codebooks, and each part
    becomes the nearest code of its own (UniTok, arXiv 2502.20321).
    """

    def __init__(self, codebooks: int, codes: int, width: int) -> None:
        """``width`` of a part. Raises MuseError for a codebook of fewer than two codes."""
        super().__init__()
        require_codes(codes)
        self.codebooks = nn.ParameterList([unit_codes(codes, width) for _ in range(codebooks)])

    def forward(self, latent: Latents) -> Quantised:
        """(batch, codebooks * width, rows, columns)."""
        found, losses, indices = [], [], []
        for part, codes in zip(
            to_tokens(latent).chunk(len(self.codebooks), -1), self.codebooks, strict=True
        ):
            points, unit = F.normalize(part, dim=-1), F.normalize(codes, dim=-1)
            index = squared_distances(points, unit).argmin(-1)
            chosen = unit[index]
            losses.append(codebook_loss(points, chosen))
            found.append(straight_through(points, chosen))
            indices.append(index)
        quantised = torch.cat(found, -1).transpose(1, 2).unflatten(2, grid_of(latent))
        return Quantised(quantised, torch.stack(indices, -1), torch.stack(losses).mean())


class SharedIndex(nn.Module):
    """Two codebooks of unit codes, semantic and of pixels, with one index: the code pair whose
    summed distance is least; applied to the normalised residual of ever finer grids (TokenFlow,
    arXiv 2412.03069, with VAR's scales).
    """

    def __init__(
        self, codes: int, semantic_width: int, pixel_width: int, scales: Sequence[int]
    ) -> None:
        """``scales``: sides of the grids, the last that of the latent. Raises MuseError for a
        codebook of fewer than two codes.
        """
        super().__init__()
        require_codes(codes)
        self.scales = tuple(scales)
        self.semantic, self.pixel = (
            unit_codes(codes, semantic_width),
            unit_codes(codes, pixel_width),
        )

    def nearest(
        self, semantic: Float[Tensor, "... semantic"], pixel: Float[Tensor, "... pixel"]
    ) -> Int[Tensor, "..."]:
        """argmin over codes of d_semantic + d_pixel, of points that are made unit vectors here."""
        apart = [
            squared_distances(F.normalize(points, dim=-1), F.normalize(codes, dim=-1))
            for points, codes in ((semantic, self.semantic), (pixel, self.pixel))
        ]
        return sum(apart[1:], apart[0]).argmin(-1)

    def forward(
        self,
        semantic: Float[Tensor, "batch semantic rows columns"],
        pixel: Float[Tensor, "batch pixel rows columns"],
    ) -> Quantised:
        """Of both latents, (batch, width, side, side): one latent with their channels in this
        order.
        """
        together, side = torch.cat([semantic, pixel], 1), self.scales[-1]
        if grid_of(together) != (side, side):
            raise MuseError(
                f"A latent of {' x '.join(map(str, grid_of(together)))} tokens has no scale among "
                f"{', '.join(map(str, self.scales))}: give images of the size it was built for."
            )
        widths = [semantic.shape[1], pixel.shape[1]]
        books = [F.normalize(codes, dim=-1) for codes in (self.semantic, self.pixel)]
        total, rest, indices, losses = torch.zeros_like(together), together, [], []
        for scale in self.scales:
            points = to_tokens(F.interpolate(rest, (scale, scale), mode="area"))
            halves = [F.normalize(half, dim=-1) for half in points.split(widths, -1)]
            index = self.nearest(*halves)
            chosen = [codes[index] for codes in books]
            losses += [codebook_loss(*pair) for pair in zip(halves, chosen, strict=True)]
            through = map(straight_through, halves, chosen)
            grown = torch.cat(list(through), -1).transpose(1, 2).unflatten(2, (scale, scale))
            if scale != side:
                grown = F.interpolate(grown, (side, side), mode="bicubic")
            total, rest = total + grown, rest - grown.detach()
            indices.append(index)
        codes = torch.cat(indices, 1)[..., None]
        # Both halves of a scale together, as one code pair.
        return Quantised(total, codes, 2 * torch.stack(losses).mean())


def require_codes(codes: int) -> None:
    """Raises MuseError for a codebook that says nothing."""
    if codes < 2:
        raise MuseError(f"A codebook of {codes} codes says nothing: give at least 2.")


@dataclass(frozen=True)
class CodebookUse:
    """``used``: share of all codes that some token has; ``perplexity``: exp of the entropy of how
    often each is had, mean over codebooks, at most ``codes``; ``least``: of the codebook where it
    is smallest.
    """

    codes: int
    tokens: int
    used: float
    perplexity: float
    least: float

    @property
    def warning(self) -> str:
        """What is wrong with it, in a sentence, or ""."""
        if too_many := more_codes_than(self.tokens, self.codes):
            return too_many
        if self.least < COLLAPSED * self.codes:
            return (
                f"The codebook has collapsed: a perplexity of {self.least:.1f} of "
                f"{self.codes:,} codes; lower the learning rate, or take fewer codes."
            )
        return ""


COLLAPSED = 0.05
"""Of the codes, as a perplexity: below, a codebook counts as collapsed."""


def codebook_use(codes: Int[Tensor, "batch positions codebooks"], count: int) -> CodebookUse:
    """How the codes of many images are used; ``count`` codes a codebook."""
    flat = codes.flatten(0, 1)
    shares = torch.stack([torch.bincount(each, minlength=count) for each in flat.unbind(1)])
    shares = shares.double() / len(flat)
    each = torch.special.entr(shares).sum(1).exp()
    used = (shares > 0).double().mean().item()
    return CodebookUse(count, len(flat), used, each.mean().item(), each.min().item())


def more_codes_than(tokens: int, codes: int) -> str:
    """The sentence for a codebook larger than the tokens it is asked for, or ""."""
    if codes <= tokens:
        return ""
    return (
        f"A codebook of {codes:,} codes was asked for {tokens:,} tokens alone: most cannot be "
        "used, take fewer codes or more images."
    )
