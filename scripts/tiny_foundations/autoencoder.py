"""The pixel autoencoder: a small DC-AE trained with L1 + L2 on pixels."""

from typing import Any

import torch
import torch.nn.functional as F
from diffusers import AutoencoderDC

from muse_core.data.batch import Batch, Source
from muse_core.foundations.pixel_decoder import encode_with, reconstruct_with
from scripts.tiny_foundations.fitting import fit

AUTOENCODER: dict[str, Any] = dict(
    latent_channels=16,
    attention_head_dim=16,
    encoder_block_types=("ResBlock", "ResBlock", "ResBlock", "EfficientViTBlock"),
    decoder_block_types=("ResBlock", "ResBlock", "ResBlock", "EfficientViTBlock"),
    encoder_block_out_channels=(16, 32, 64, 128),
    decoder_block_out_channels=(16, 32, 64, 128),
    encoder_layers_per_block=(1, 1, 1, 1),
    decoder_layers_per_block=(0, 1, 2, 1),
    encoder_qkv_multiscales=((), (), (), (5,)),
    decoder_qkv_multiscales=((), (), (), (5,)),
    upsample_block_type="pixel_shuffle",
    downsample_block_type="conv",
)


def train_autoencoder(
    source: Source, *, steps: int, batch_size: int, seed: int
) -> tuple[AutoencoderDC, list[float]]:
    """Train encoder and decoder on pixels alone."""
    torch.manual_seed(seed)
    autoencoder = AutoencoderDC(**AUTOENCODER)

    def loss_of(batch: Batch) -> torch.Tensor:
        reconstruction = reconstruct_with(autoencoder, batch.images)
        return F.l1_loss(reconstruction, batch.images) + 5 * F.mse_loss(
            reconstruction, batch.images
        )

    losses = fit(
        autoencoder.parameters(),
        loss_of,
        source,
        steps=steps,
        batch_size=batch_size,
        learning_rate=2e-3,
        seed=seed,
        name="autoencoder",
    )
    scale = latent_scale(autoencoder.eval(), source)
    autoencoder.register_to_config(scaling_factor=1 / scale)
    return autoencoder, losses


@torch.no_grad()
def latent_scale(autoencoder: AutoencoderDC, source: Source, count: int = 256) -> float:
    """Standard deviation of the latents over all channels, which ``scaling_factor`` undoes."""
    return encode_with(autoencoder, source.first(count).images).std().item()
