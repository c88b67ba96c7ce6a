"""Tokenizers small enough for a unit test, at two sizes, and random targets for their losses."""

from dataclasses import dataclass

import torch
from torch import Tensor

from muse_core.attention import QueryKeys
from muse_core.config.stage import Loss
from muse_core.losses.adversarial import generator_loss
from muse_core.losses.anchor import anchor_loss
from muse_core.losses.distillation import distillation_loss
from muse_core.losses.fused_topology import fused_topology_loss
from muse_core.losses.reconstruction import perceptual_loss, reconstruction_loss
from muse_core.losses.topology_target import TopologyTarget
from muse_core.models.discriminator import PatchDiscriminator, frozen_logits
from muse_core.models.gradient_routes import Routing
from muse_core.models.tokenizer import MuseTokenizer, TokenizerOutput


@dataclass(frozen=True)
class Size:
    """One configuration to test at."""

    image_size: int
    patch_size: int
    backbone_width: int
    unshuffle: int
    width: int
    num_heads: int
    num_blocks: int
    decoder_channels: tuple[int, ...]
    embedding_width: int
    semantic_channels: int = 0


TINY = Size(32, 8, 32, 1, 32, 2, 6, (8, 16, 16, 32), 16)
LARGER = Size(64, 8, 48, 2, 96, 6, 6, (8, 16, 16, 32, 32), 40, semantic_channels=6)
"""Another depth of decoder, unshuffling, more heads, a latent of two bands: nothing about routing
may depend on them.
"""
SIZES = {"tiny": TINY, "larger": LARGER}


def small_tokenizer(
    size: Size = TINY,
    routing: str | Routing = "orthogonal",
    seed: int = 0,
    attention: str = "multi-head",
) -> MuseTokenizer:
    """Random weights from a seed."""
    torch.manual_seed(seed)
    blocks = len(size.decoder_channels)
    backbone = dict(
        hidden_size=size.backbone_width,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        image_size=[size.image_size] * 2,
        patch_size=[size.patch_size] * 2,
        attention_bias=True,
    )
    decoder = dict(
        latent_channels=8,
        attention_head_dim=8,
        decoder_block_types=["ResBlock"] * blocks,
        decoder_block_out_channels=list(size.decoder_channels),
        decoder_layers_per_block=[1] * blocks,
        decoder_qkv_multiscales=[[]] * blocks,
        upsample_block_type="pixel_shuffle",
    )
    return MuseTokenizer(
        backbone_config=backbone,
        decoder_config=decoder,
        image_size=size.image_size,
        unshuffle=size.unshuffle,
        width=size.width,
        num_heads=size.num_heads,
        num_blocks=size.num_blocks,
        embedding_width=size.embedding_width,
        semantic_channels=size.semantic_channels,
        routing=routing,
        attention=attention,
    )


def random_images(size: Size = TINY, count: int = 4) -> Tensor:
    return torch.rand(count, 3, size.image_size, size.image_size)


def random_target(student: QueryKeys) -> TopologyTarget:
    """A random teacher layer of the student's own size."""
    queries, keys = torch.randn_like(student.queries), torch.randn_like(student.keys)
    grid = (student.num_tokens, 1)
    return TopologyTarget(QueryKeys(queries, keys, student.scale), grid, grid, student.num_heads)


def loss_of(
    loss: Loss, output: TokenizerOutput, images: Tensor, tokenizer: MuseTokenizer
) -> Tensor:
    """One term against random targets: enough to follow its gradient."""
    match loss:
        case Loss.TOPOLOGY:
            return fused_topology_loss(
                [random_target(layer) for layer in output.attention], output.attention
            )
        case Loss.ANCHOR:
            return anchor_loss(
                output.embedding, torch.randn_like(output.embedding), tokenizer.semantic_head.scale
            )
        case Loss.DISTILLATION:
            return distillation_loss(output.embedding, torch.randn_like(output.embedding))
        case Loss.RECONSTRUCTION:
            return reconstruction_loss(output.reconstruction, images)
        case Loss.PERCEPTUAL:
            pixels = output.reconstruction.flatten(2).transpose(1, 2)
            return perceptual_loss([pixels], [torch.rand_like(pixels)])
        case Loss.ADVERSARIAL:
            return generator_loss(frozen_logits(PatchDiscriminator(8, 2), output.reconstruction))
