"""VA-VAE: a KL autoencoder whose latent is drawn towards a frozen vision network's features.

Yao et al. 2025, "Reconstruction vs. Generation" (arXiv 2501.01423)."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput, DiagonalGaussianDistribution
from torch import Tensor, nn

from muse_core.baselines.networks import ConvolutionalDecoder, ConvolutionalEncoder
from muse_core.baselines.visual_tokenizer import (
    LATENT,
    OF_ALL_ROWS,
    Encoded,
    Parts,
    Pass,
    Supervision,
    VisualTokenizer,
    from_tokens,
    grid_of,
    to_tokens,
)
from muse_core.config.system_stages import SystemStage
from muse_core.shapes import Images, Latents, Scalar, Tokens

DISTANCE_MARGIN, COSINE_MARGIN = 0.25, 0.5
"""Of the released recipe's last phase: what is nearer than this is near enough."""


def vision_foundation_loss(
    latent: Tokens,
    features: Tokens,
    distance_margin: float = DISTANCE_MARGIN,
    cosine_margin: float = COSINE_MARGIN,
) -> Scalar:
    """Marginal distance matrix + marginal cosine (Eq. 5 and 6 of arXiv 2501.01423).

    Args:
        latent: The projected latent, (batch, tokens, width), of the features' width.
        features: The frozen network's, on the same grid.
        distance_margin: Cosines between two places may differ by so much.
        cosine_margin: A place's cosine to its feature may stay so far below 1.
    """
    z, f = F.normalize(latent, dim=-1), F.normalize(features, dim=-1)
    apart = (z @ z.mT - f @ f.mT).abs()
    distance = F.relu(apart - distance_margin).mean()
    cosine = F.relu(1 - cosine_margin - (z * f).sum(-1)).mean()
    return distance + cosine


class VaVae(VisualTokenizer, ConfigMixin):
    """Generation only: its latent is aligned, but no embedding of it is ever trained."""

    words = "VA-VAE"
    training_only = ("to_features.",)
    probed = segmented = LATENT
    departures = (
        "Widths of 16, 32, 64 and 96 channels, one layer a resolution, no attention in the middle "
        "of the encoder's resolutions; f8 and 16 channels instead of f16 and 32.",
        "The frozen network is this world's topology teacher, not DINOv2-L, and its colours are "
        "normalised, which the released code leaves out.",
        "Pixel losses are means over pixels as in all rows, not sums with a learned variance; the "
        "KL weight is scaled to that.",
        "One phase with the margins of the last, not three.",
        "The teacher's tokens are resized to the latent's grid; published: the image is, so that "
        "the grids agree.",
        OF_ALL_ROWS + "L1 + LPIPS, a critic from step 5,001 at an adaptive weight of 0.5.",
    )
    supervised_by = ("teacher",)
    # The published weight of KL, 1e-6, is of sums over pixels and channels.
    stages = (SystemStage({"vision_foundation": 0.1, "kl": 1e-7}),)

    @register_to_config
    def __init__(
        self,
        feature_width: int,
        image_size: int,
        widths: Sequence[int] = (16, 32, 64, 96),
        channels: int = 16,
    ) -> None:
        """Random weights.

        Args:
            feature_width: Channels of the frozen network's features.
            image_size: Pixels along a side in training.
            widths: Of the resolutions, each half the one before.
            channels: Of the latent.
        """
        super().__init__()
        self.encoder = ConvolutionalEncoder(widths, channels, double=True)
        self.decoder = ConvolutionalDecoder(widths, channels)
        self.to_features = nn.Conv2d(channels, feature_width, 1, bias=False)

    @classmethod
    def assembled(cls, parts: Parts) -> "VaVae":
        return cls(feature_width=parts.teacher_width, image_size=parts.image_size)

    def encode(self, images: Images) -> Encoded:
        """The posterior's mean; in training a sample of it."""
        posterior = DiagonalGaussianDistribution(self.encoder(images))
        latent = posterior.sample() if self.training else posterior.mode()
        return Encoded(
            latent=latent,
            tokens={LATENT: to_tokens(latent)},
            grid={LATENT: grid_of(latent)},
            aside={"posterior": posterior},
        )

    def decode(self, latent: Latents, size: tuple[int, int] | None = None) -> DecoderOutput:
        return DecoderOutput(self.decoder(latent))

    def own_losses(self, step: Pass, said: Supervision) -> Mapping[str, Scalar]:
        features, latent = said.teacher_tokens.float(), step.encoded.latent
        side = round(features.shape[1] ** 0.5)
        features = F.interpolate(
            from_tokens(features, (side, side)), grid_of(latent), mode="bilinear", antialias=True
        )
        pair = to_tokens(self.to_features(latent)), to_tokens(features)
        kl = step.encoded.aside["posterior"].kl() / latent[0].numel()
        return {"vision_foundation": vision_foundation_loss(*pair), "kl": torch.mean(kl)}

    def adaptive(self) -> Mapping[str, Tensor]:
        return {"vision_foundation": self.encoder.last}
