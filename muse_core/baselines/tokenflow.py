"""TokenFlow: two encoders, two codebooks, one index.

Qu et al. 2024, "TokenFlow: Unified Image Tokenizer for Multimodal Understanding and Generation"
(arXiv 2412.03069)."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput
from torch import Tensor, nn

from muse_core.baselines.networks import ConvolutionalDecoder, ConvolutionalEncoder, blocks
from muse_core.baselines.quantisers import SharedIndex
from muse_core.baselines.visual_tokenizer import (
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
from muse_core.errors import MuseError
from muse_core.foundations.backbone import Backbone
from muse_core.shapes import Images, Latents, Scalar

CODES, SEMANTIC = "codes", "semantic decoder"


class TokenFlow(VisualTokenizer, ConfigMixin):
    """Semantic encoder from the backbone, convolutional pixel encoder; `SharedIndex` between them
    and two decoders, one of pixels, one of the frozen backbone's tokens.
    """

    words = "TokenFlow"
    probed = segmented = CODES
    built_from, supervised_by = ("backbone",), ("backbone",)
    stages = (SystemStage({"codebook": 1.0, "semantic_decoder": 1.0}, backbone_rate=0.5),)
    pretrained, fixed = ("semantic_encoder.",), ("projection.",)
    departures = (
        "1,024 code pairs of 16 + 8 channels on scales 1, 2, 4, 8 instead of 32,768 of 32 + 8 on "
        "up to nine; no scale is ever dropped in training.",
        "The semantic encoder starts from this world's backbone and is tuned with all the rest.",
        "Zero-shot reads the semantic decoder's tokens by the backbone's own projection into the "
        "text space; the published system hands its codes to a language model instead.",
        "The denoiser generates the codes' vectors, which are put on their nearest codes before "
        "they are decoded; the published one predicts the next scale.",
        OF_ALL_ROWS + "L2 + LPIPS, a critic from step 20,000 at 0.5.",
    )

    @register_to_config
    def __init__(
        self,
        backbone_config: dict[str, Any],
        embedding_width: int,
        image_size: int,
        widths: Sequence[int] = (16, 32, 64, 96),
        codes: int = 1024,
        semantic_width: int = 16,
        pixel_width: int = 8,
        scales: Sequence[int] = (1, 2, 4, 8),
        decoder_depth: int = 3,
    ) -> None:
        """Random weights.

        Args:
            backbone_config: `Backbone.describe` of the semantic encoder.
            embedding_width: Channels of the text space.
            image_size: Pixels along a side.
            widths: Of the pixel encoder's and decoder's resolutions.
            codes: Pairs of codes.
            semantic_width: Channels of a semantic code.
            pixel_width: Channels of a pixel code.
            scales: Sides of the grids of codes, coarse to fine.
            decoder_depth: Blocks of the semantic decoder.

        Raises:
            MuseError: For a codebook of fewer than two codes, and grids of two sizes.
        """
        super().__init__()
        self.semantic_encoder = Backbone(backbone_config)
        if (patch := self.semantic_encoder.patch_size) != 2 ** (len(widths) - 1):
            raise MuseError(
                f"TokenFlow's pixel encoder halves {len(widths) - 1} times, and its semantic "
                f"encoder has patches of {patch} pixels: give it as many widths as make "
                "the grids equal."
            )
        width, grid = self.semantic_encoder.width, image_size // self.semantic_encoder.patch_size
        self.to_semantic = nn.Sequential(
            nn.Linear(width, width), nn.Tanh(), nn.Linear(width, semantic_width)
        )
        self.pixel_encoder = ConvolutionalEncoder(widths, pixel_width)
        self.quantiser = SharedIndex(codes, semantic_width, pixel_width, scales)
        self.pixel_decoder = ConvolutionalDecoder(widths, pixel_width)
        self.positions = nn.Parameter(0.02 * torch.randn(1, grid**2, width))
        self.from_codes = nn.Linear(semantic_width, width)
        self.semantic_decoder = nn.Sequential(
            blocks(width, decoder_depth, heads=4), nn.LayerNorm(width), nn.Linear(width, width)
        )
        self.projection = nn.Linear(width, embedding_width, bias=False)

    @classmethod
    def assembled(cls, parts: Parts) -> "TokenFlow":
        """Raises MuseError where the backbone has no projection into the text space."""
        side = parts.image_size // parts.backbone.patch_size
        found = cls(
            backbone_config=parts.backbone.describe(),
            embedding_width=parts.embedding_width,
            image_size=parts.image_size,
            scales=(*(2**power for power in range(side.bit_length()) if 2**power < side), side),
        )
        found.semantic_encoder.load_state_dict(parts.backbone.state_dict())
        found.projection.load_state_dict(parts.projection().state_dict())
        return found

    @property
    def codebooks(self) -> tuple[int, int]:
        return 1, self.config.codes

    def encode(self, images: Images) -> Encoded:
        rows, columns = self.semantic_encoder.grid(images)
        semantic = from_tokens(self.to_semantic(self.semantic_encoder(images)), (rows, columns))
        pixel = self.pixel_encoder(images)
        found = self.quantiser(semantic, pixel)
        codes = to_tokens(found.latent)
        meaning = codes[..., : self.config.semantic_width]
        decoded = self.semantic_decoder(self.from_codes(meaning) + self.positions)
        return Encoded(
            latent=found.latent,
            tokens={CODES: codes, SEMANTIC: decoded},
            grid=dict.fromkeys((CODES, SEMANTIC), grid_of(found.latent)),
            embedding=self.projection(decoded.mean(1)),
            codes=found.codes,
            aside={"codebook": found.loss},
        )

    def decode(self, latent: Latents, size: tuple[int, int] | None = None) -> DecoderOutput:
        """The codes of pixels alone: those of semantics are for the semantic decoder."""
        return DecoderOutput(self.pixel_decoder(self._bands(latent)[1]))

    def on_codes(self, latent: Latents) -> Latents:
        return self.quantiser(*self._bands(latent)).latent

    def _bands(self, latent: Latents) -> tuple[Tensor, Tensor]:
        """(semantic, pixel)."""
        semantic, pixel = latent.tensor_split([self.config.semantic_width], 1)
        return semantic, pixel

    def own_losses(self, step: Pass, said: Supervision) -> Mapping[str, Scalar]:
        """Codebook, and 1 - cos between the semantic decoder's tokens and the frozen backbone's."""
        decoded, target = step.encoded.tokens[SEMANTIC], said.backbone_tokens
        semantic = 1 - F.cosine_similarity(decoded, target, dim=-1).mean()
        return {"codebook": step.encoded.aside["codebook"], "semantic_decoder": semantic}
