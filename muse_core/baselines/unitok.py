"""UniTok: many small codebooks, one token, trained by reconstruction and contrast at once.

Ma et al. 2025, "UniTok: A Unified Tokenizer for Visual Generation and Understanding" (arXiv
2502.20321)."""

from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput
from einops import rearrange
from timm.models.vitamin import GeGluMlp
from torch import Tensor, nn

from muse_core.baselines.networks import Contrast, HybridDecoder, HybridEncoder
from muse_core.baselines.quantisers import SubCodebooks
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
from muse_core.shapes import Float, Images, Latents, Scalar, Tokens

CODES, PROJECTED, ENCODED = "codes", "projected codes", "encoder's tokens"


class AttentionProjection(nn.Module):
    """Tokens of one width to another: a linear map beside an attention whose heads are averaged
    rather than joined, then a gated feed-forward network.
    """

    def __init__(self, width: int, out_width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.norm = heads, nn.LayerNorm(width)
        self.linear, self.query_key = nn.Linear(width, out_width), nn.Linear(width, 2 * width)
        self.value = nn.Linear(width, heads * out_width)
        self.out = nn.Linear(out_width, out_width)
        self.feedforward = nn.Sequential(
            nn.LayerNorm(out_width), GeGluMlp(out_width, 2 * out_width)
        )

    def forward(self, tokens: Tokens) -> Float[Tensor, "batch tokens out_width"]:
        normed = self.norm(tokens)
        split = "b n (h c) -> b h n c"
        query, key = (
            rearrange(each, split, h=self.heads) for each in self.query_key(normed).chunk(2, -1)
        )
        value = rearrange(self.value(normed), split, h=self.heads)
        attended = F.scaled_dot_product_attention(query, key, value).mean(1)
        found = self.linear(normed) + self.out(attended)
        return found + self.feedforward(found)


class UniTok(VisualTokenizer, ConfigMixin):
    """Hybrid encoder, attention projection to a narrow width, `SubCodebooks`, and back."""

    words = "UniTok"
    training_only = ("contrast.",)
    probed = segmented = PROJECTED
    departures = (
        "Four blocks 96 wide and 8 codebooks of 256 codes instead of 31 blocks 1,024 wide and 8 of "
        "4,096; f8 instead of f16.",
        "The contrast is with this world's frozen text tower, as in all rows; the published one "
        "trains its own from scratch.",
        "The critic is that of all rows, without augmentation; it starts with the training.",
        "The denoiser generates the codes' vectors, which are put on their nearest codes before "
        "they are decoded; the published generator predicts sub-codes.",
        OF_ALL_ROWS + "0.2 x L1 + L2 + LPIPS, a DINOv2 critic at an adaptive weight of 0.4, late.",
    )
    supervised_by = ("text_tower",)
    stages = (SystemStage({"codebook": 1.0, "anchor": 1.0}),)

    @register_to_config
    def __init__(
        self,
        embedding_width: int,
        image_size: int,
        widths: Sequence[int] = (32, 64, 96),
        depth: int = 4,
        heads: int = 4,
        codebooks: int = 8,
        codes: int = 256,
        code_width: int = 8,
    ) -> None:
        """Random weights.

        Args:
            embedding_width: Channels of the text space.
            image_size: Pixels along a side in training.
            widths: Of the three convolution stages; the last is that of the blocks.
            depth: Blocks of encoder and decoder each.
            heads: Of a block.
            codebooks: How many a token is split among.
            codes: Of a codebook.
            code_width: Channels of a code.

        Raises:
            MuseError: For a codebook of fewer than two codes.
        """
        super().__init__()
        width, narrow = widths[-1], codebooks * code_width
        self.encoder = HybridEncoder(widths, depth, heads)
        self.project = AttentionProjection(width, narrow, heads)
        self.quantiser = SubCodebooks(codebooks, codes, code_width)
        self.project_back = AttentionProjection(narrow, width, heads)
        self.decoder = HybridDecoder(widths, depth, heads)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, embedding_width))
        self.contrast = Contrast()

    @classmethod
    def assembled(cls, parts: Parts) -> "UniTok":
        return cls(embedding_width=parts.embedding_width, image_size=parts.image_size)

    @property
    def codebooks(self) -> tuple[int, int]:
        return self.config.codebooks, self.config.codes

    def encode(self, images: Images) -> Encoded:
        grown = self.encoder(images)
        narrow = from_tokens(self.project(to_tokens(grown)), grid_of(grown))
        found = self.quantiser(narrow)
        codes = to_tokens(found.latent)
        projected = self.project_back(codes)
        tokens = {PROJECTED: projected, CODES: codes, ENCODED: to_tokens(grown)}
        return Encoded(
            latent=found.latent,
            tokens=tokens,
            grid=dict.fromkeys(tokens, grid_of(grown)),
            embedding=self.head(projected.mean(1)),
            codes=found.codes,
            aside={"codebook": found.loss},
        )

    def on_codes(self, latent: Latents) -> Latents:
        return self.quantiser(latent).latent

    def decode(self, latent: Latents, size: tuple[int, int] | None = None) -> DecoderOutput:
        wide = from_tokens(self.project_back(to_tokens(latent)), grid_of(latent))
        return DecoderOutput(self.decoder(wide))

    def own_losses(self, step: Pass, said: Supervision) -> Mapping[str, Scalar]:
        return {
            "codebook": step.encoded.aside["codebook"],
            "anchor": self.contrast(step.encoded.embedding, said.text),
        }
