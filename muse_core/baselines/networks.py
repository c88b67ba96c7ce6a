"""The parts that baselines are made of: transformer blocks on a grid, convolutions that grow it."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.vae import Decoder, Encoder
from timm.models.vision_transformer import Block
from timm.models.vitamin import GeGluMlp, MbConvLNBlock, Stem
from torch import Tensor, nn

from muse_core.baselines.visual_tokenizer import from_tokens, grid_of, to_tokens
from muse_core.losses.anchor import anchor_loss
from muse_core.models.semantic_head import INITIAL_LOG_SCALE, MAX_LOG_SCALE
from muse_core.shapes import Embeddings, Float, Images, Latents, Scalar

IN_A_GROUP = 4
"""Channels that are normalised together at the finest resolution, as in LDM (32 groups of 128). One
alone would lose its mean, and an image its brightness.
"""


def blocks(width: int, depth: int, heads: int, gated: bool = False) -> nn.Sequential:
    """Pre-norm transformer blocks."""
    mlp: dict[str, Any] = {"mlp_layer": GeGluMlp, "mlp_ratio": 2.0} if gated else {}
    return nn.Sequential(*(Block(width, heads, qkv_bias=True, **mlp) for _ in range(depth)))


class ConvolutionalEncoder(nn.Module):
    """LDM's encoder: images in [0, 1] -> (batch, channels, height / 2^n, width / 2^n)."""

    def __init__(self, widths: Sequence[int], channels: int, double: bool = False) -> None:
        """``widths`` of the n + 1 resolutions; ``double`` the channels, for a mean and a
        variance.
        """
        super().__init__()
        self.network = Encoder(
            3,
            channels,
            ("DownEncoderBlock2D",) * len(widths),
            tuple(widths),
            layers_per_block=1,
            norm_num_groups=max(1, widths[0] // IN_A_GROUP),
            double_z=double,
        )

    def forward(self, images: Images) -> Latents:
        return self.network(images * 2 - 1)

    @property
    def last(self) -> Tensor:
        """The weight of its last convolution."""
        return self.network.conv_out.weight


class ConvolutionalDecoder(nn.Module):
    """LDM's decoder, the inverse of `ConvolutionalEncoder`."""

    def __init__(self, widths: Sequence[int], channels: int) -> None:
        super().__init__()
        self.network = Decoder(
            channels,
            3,
            ("UpDecoderBlock2D",) * len(widths),
            tuple(widths),
            layers_per_block=1,
            norm_num_groups=max(1, widths[0] // IN_A_GROUP),
        )

    def forward(self, latent: Latents) -> Images:
        return self.network(latent) / 2 + 0.5


class HybridEncoder(nn.Module):
    """ViTamin's form: three strided convolution stages, then transformer blocks without positions.

    Images in [0, 1] -> (batch, width, height / 8, width / 8)."""

    def __init__(self, widths: Sequence[int], depth: int, heads: int) -> None:
        super().__init__()
        first, second, last = widths
        self.stem = Stem(3, first)
        self.stages = nn.Sequential(
            MbConvLNBlock(first, second, stride=2), MbConvLNBlock(second, last, stride=2)
        )
        self.blocks = blocks(last, depth, heads, gated=True)

    def forward(self, images: Images) -> Float[Tensor, "batch width rows columns"]:
        grown = self.stages(self.stem(images * 2 - 1))
        return from_tokens(self.blocks(to_tokens(grown)), grid_of(grown))


class HybridDecoder(nn.Module):
    """`HybridEncoder` mirrored: transformer blocks, then nearest enlargements with convolutions."""

    def __init__(self, widths: Sequence[int], depth: int, heads: int) -> None:
        super().__init__()
        first, second, last = widths
        self.blocks = blocks(last, depth, heads, gated=True)
        self.stages = nn.ModuleList(
            MbConvLNBlock(wide, narrow)
            for wide, narrow in ((last, second), (second, first), (first, first))
        )
        self.out = nn.Conv2d(first, 3, 3, padding=1)

    def forward(self, latent: Latents) -> Images:
        grown = from_tokens(self.blocks(to_tokens(latent)), grid_of(latent))
        for stage in self.stages:
            grown = stage(F.interpolate(grown, scale_factor=2, mode="nearest"))
        return self.out(F.silu(grown)) / 2 + 0.5


class Contrast(nn.Module):
    """InfoNCE of image embeddings against those of their captions, with a learned temperature."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(INITIAL_LOG_SCALE))

    def forward(self, embedding: Embeddings | None, text: Embeddings) -> Scalar:
        assert embedding is not None, "a system without embedding is not contrasted"
        return anchor_loss(embedding, text, self.log_scale.clamp(max=MAX_LOG_SCALE).exp())


class PatchDecoder(nn.Module):
    """Transformer blocks with learned positions, then each token becomes its patch of pixels."""

    def __init__(self, width: int, depth: int, heads: int, side: int, patch: int) -> None:
        """``side`` of the grid its positions are learned on."""
        super().__init__()
        self.positions = nn.Parameter(0.02 * torch.randn(1, width, side, side))
        self.blocks = nn.Sequential(blocks(width, depth, heads), nn.LayerNorm(width))
        self.out = nn.Sequential(nn.Conv2d(width, 3 * patch**2, 1), nn.PixelShuffle(patch))

    def forward(self, latent: Float[Tensor, "batch width rows columns"]) -> Images:
        placed = latent + F.interpolate(self.positions, grid_of(latent), mode="bicubic")
        grown = from_tokens(self.blocks(to_tokens(placed)), grid_of(latent))
        return self.out(grown) / 2 + 0.5
