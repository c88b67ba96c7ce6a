"""RAE: a frozen backbone's tokens are the latent, and only a decoder is trained.

Zheng et al. 2025, "Diffusion Transformers with Representation Autoencoders" (arXiv 2510.11690)."""

from typing import Any

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.autoencoder_rae import RAEDecoder
from diffusers.models.autoencoders.vae import DecoderOutput
from torch import Tensor, nn

from muse_core.baselines.visual_tokenizer import (
    OF_ALL_ROWS,
    PATCHES,
    Encoded,
    Parts,
    VisualTokenizer,
    channel_statistics,
    from_tokens,
    to_tokens,
)
from muse_core.config.system_stages import SystemStage
from muse_core.errors import MuseError
from muse_core.foundations.backbone import Backbone
from muse_core.shapes import Images, Latents


class Rae(VisualTokenizer, ConfigMixin):
    """Normalised tokens of the frozen backbone, and diffusers' `RAEDecoder`, which learns to bear
    the noise that a generator leaves.
    """

    words = "RAE"
    built_from = ("backbone",)
    probed = segmented = PATCHES
    fixed = ("backbone.", "projection.")
    departures = (
        "A decoder of four blocks 128 wide instead of 24 of 1,024.",
        "The backbone is that of all rows, so zero-shot, probe and mIoU are the frozen backbone's.",
        "Its generator is that of all rows; the published one is made wide enough for tokens.",
        "Means and deviations of 128 images normalise the backbone's tokens as they come; "
        "published: of the whole corpus, after a LayerNorm without its affine part.",
        OF_ALL_ROWS + "L1 + LPIPS and a DINO critic that starts late.",
    )
    stages = (SystemStage(),)

    @register_to_config
    def __init__(
        self,
        backbone_config: dict[str, Any],
        embedding_width: int,
        image_size: int,
        width: int = 128,
        depth: int = 4,
        heads: int = 4,
        noise: float = 0.8,
    ) -> None:
        """Random weights.

        Args:
            backbone_config: `Backbone.describe`.
            embedding_width: Channels of the text space.
            image_size: Pixels along a side.
            width: Of the decoder.
            depth: Of the decoder.
            heads: Of the decoder.
            noise: The largest standard deviation, tau, of what is added to latents in training.
        """
        super().__init__()
        self.backbone = Backbone(backbone_config)
        patch, side = self.backbone.patch_size, image_size // self.backbone.patch_size
        self.decoder = RAEDecoder(
            hidden_size=self.backbone.width,
            decoder_hidden_size=width,
            decoder_num_hidden_layers=depth,
            decoder_num_attention_heads=heads,
            decoder_intermediate_size=2 * width,
            num_patches=side**2,
            patch_size=patch,
            num_channels=3,
            image_size=image_size,
        )
        self.register_buffer("mean", torch.zeros(self.backbone.width))
        self.register_buffer("std", torch.ones(self.backbone.width))
        self.projection = nn.Linear(self.backbone.width, embedding_width, bias=False)

    @classmethod
    def assembled(cls, parts: Parts) -> "Rae":
        """Raises MuseError where the backbone has no projection into the text space."""
        found = cls(
            backbone_config=parts.backbone.describe(),
            embedding_width=parts.embedding_width,
            image_size=parts.image_size,
        )
        found.backbone.load_state_dict(parts.backbone.state_dict())
        found.projection.load_state_dict(parts.projection().state_dict())
        with torch.no_grad():
            tokens = found.backbone.to(parts.images.device).eval()(parts.images)
        mean, std = channel_statistics(tokens)
        found.mean.copy_(mean)
        found.std.copy_(std)
        return found

    def encode(self, images: Images) -> Encoded:
        """The tokens, normalised: what is decoded and generated."""
        with torch.no_grad():
            patches, grid = self.backbone(images), self.backbone.grid(images)
        return Encoded(
            latent=from_tokens((patches - self.mean) / self.std, grid),
            tokens={PATCHES: patches},
            grid={PATCHES: grid},
            embedding=self.projection(patches.mean(1)),
        )

    def decode(self, latent: Latents, size: tuple[int, int] | None = None) -> DecoderOutput:
        """In training, noise of a strength drawn for each image is added first.

        Raises:
            MuseError: The latent is not that of square images of the decoder's size.
        """
        pixels = int(self.config.image_size)
        side = pixels // self.backbone.patch_size
        if latent.shape[-2:] != (side, side):
            rows, columns = latent.shape[-2:]
            raise MuseError(
                f"RAE's decoder takes latents of {side} x {side} patches, and this one has {rows} "
                f"x {columns}: give images of {pixels} x {pixels} pixels."
            )
        tokens = to_tokens(self.with_noise(latent) if self.training else latent)
        decoded: Any = self.decoder(tokens, return_dict=True)
        return DecoderOutput(self.decoder.unpatchify(decoded.logits) / 2 + 0.5)

    def with_noise(self, latent: Latents) -> Tensor:
        """latent + sigma x noise, sigma uniform from 0 to tau as in diffusers' `AutoencoderRAE`."""
        sigma = self.config.noise * torch.rand(len(latent), 1, 1, 1, device=latent.device)
        return latent + sigma * torch.randn_like(latent)
