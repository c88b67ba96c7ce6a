"""UniLIP: the pretrained backbone itself is tuned for pixels, held to its own frozen features.

Tang et al. 2025, "UniLIP: Adapting CLIP for Unified Multimodal Understanding, Generation and
Editing" (arXiv 2507.23278)."""

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput
from torch import nn

from muse_core.baselines.visual_tokenizer import (
    LATENT,
    OF_ALL_ROWS,
    PATCHES,
    Encoded,
    Parts,
    Pass,
    Supervision,
    VisualTokenizer,
    from_tokens,
    to_tokens,
)
from muse_core.config.system_stages import SystemStage
from muse_core.foundations.backbone import Backbone
from muse_core.foundations.pixel_decoder import PixelDecoder
from muse_core.shapes import Images, Latents, Scalar, Tokens


class ResidualBlock(nn.Module):
    """x + linear, GELU, linear of the normed x."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width)
        )

    def forward(self, tokens: Tokens) -> Tokens:
        return tokens + self.layers(tokens)


class UniLip(VisualTokenizer, ConfigMixin):
    """Backbone, three residual blocks, a narrow latent, the pretrained DC-AE decoder. What
    understands is the tuned backbone, by the projection that the frozen one has.
    """

    words = "UniLIP"
    probed = segmented = PATCHES
    built_from = ("backbone", "autoencoder")
    pretrained, fixed = ("backbone.",), ("projection.",)
    departures = (
        "No pixel unshuffle and no language model's projector: this world's backbone has neither; "
        "distillation holds the patch tokens themselves.",
        "Two stages of three: the last repeats the second at twice the resolution.",
        "The latent is 16 channels wide, as its pretrained decoder asks.",
        "Zero-shot reads the tuned backbone by the frozen one's projection into the text space; "
        "the published system puts it under an unchanged language model.",
        "Its latent begins at random before the pretrained decoder, as published; MUSE's begins "
        "fitted to that decoder by least squares.",
        OF_ALL_ROWS
        + "MSE + 1.1 x (LPIPS + 0.1 x ConvNeXt features), no critic in the first stage.",
    )
    supervised_by = ("backbone",)
    stages = (
        SystemStage(share=0.5),
        SystemStage({"distillation": 1.0}, backbone_rate=0.1, share=0.5),
    )

    @register_to_config
    def __init__(
        self,
        backbone_config: dict[str, Any],
        decoder_config: dict[str, Any],
        embedding_width: int,
        image_size: int,
        depth: int = 3,
    ) -> None:
        """Random weights.

        Args:
            backbone_config: `Backbone.describe`.
            decoder_config: `PixelDecoder.describe`.
            embedding_width: Channels of the text space.
            image_size: Pixels along a side in training.
            depth: Residual blocks.
        """
        super().__init__()
        self.backbone, self.decoder = Backbone(backbone_config), PixelDecoder(decoder_config)
        width, channels = self.backbone.width, self.decoder.latent_channels
        self.to_latent = nn.Sequential(
            *(ResidualBlock(width) for _ in range(depth)),
            nn.LayerNorm(width),
            nn.Linear(width, channels),
            nn.GELU(),
            nn.Linear(channels, channels),
        )
        self.projection = nn.Linear(width, embedding_width, bias=False)

    @classmethod
    def assembled(cls, parts: Parts) -> "UniLip":
        """Raises MuseError where the backbone has no projection into the text space."""
        decoder = PixelDecoder.from_autoencoder(parts.autoencoder)
        found = cls(
            backbone_config=parts.backbone.describe(),
            decoder_config=decoder.describe(),
            embedding_width=parts.embedding_width,
            image_size=parts.image_size,
        )
        found.backbone.load_state_dict(parts.backbone.state_dict())
        found.decoder.load_state_dict(decoder.state_dict())
        found.projection.load_state_dict(parts.projection().state_dict())
        return found

    def encode(self, images: Images) -> Encoded:
        patches, grid = self.backbone(images), self.backbone.grid(images)
        latent = from_tokens(self.to_latent(patches), grid)
        return Encoded(
            latent=latent,
            tokens={PATCHES: patches, LATENT: to_tokens(latent)},
            grid=dict.fromkeys((PATCHES, LATENT), grid),
            embedding=self.projection(patches.mean(1)),
        )

    def decode(self, latent: Latents, size: tuple[int, int] | None = None) -> DecoderOutput:
        images = self.decoder(latent)
        if size is not None and images.shape[-2:] != size:
            images = F.interpolate(images.float(), size, mode="bilinear", antialias=True)
        return DecoderOutput(images)

    def own_losses(self, step: Pass, said: Supervision) -> Mapping[str, Scalar]:
        """The frozen backbone's tokens of the same images."""
        tuned = step.encoded.tokens[PATCHES]
        return {"distillation": F.mse_loss(tuned, said.backbone_tokens)}
