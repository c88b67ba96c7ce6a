"""VTP: an encoder from scratch that learns from captions, from itself and from pixels at once.

Yao et al. 2025, "Towards Scalable Pre-training of Visual Tokenizers for Generation" (arXiv
2512.13687); no training code was released."""

import copy
import math
from collections.abc import Mapping

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput
from torch import Tensor, nn
from transformers import DINOv3ViTConfig, DINOv3ViTModel

from muse_core.baselines.networks import Contrast, PatchDecoder
from muse_core.baselines.self_distillation import (
    PrototypeHead,
    agreement_loss,
    move_average,
    random_crops,
    random_masks,
    sinkhorn,
)
from muse_core.baselines.visual_tokenizer import (
    LATENT,
    OF_ALL_ROWS,
    Encoded,
    Parts,
    Pass,
    Supervision,
    VisualTokenizer,
    from_tokens,
    frozen,
    to_tokens,
)
from muse_core.config.system_stages import SystemStage
from muse_core.foundations.image_normalisation import IMAGENET, Normalise
from muse_core.shapes import Bool, Float, Images, Latents, Scalar, Tokens

PATCHES, POOLED = "encoder's tokens", "class token and mean token"
GLOBAL_CROPS, LOCAL_CROPS = (0.4, 1.0), (0.1, 0.4)
"""Shares of an image's area."""
MASKED = 0.3
"""Share of a student's patches that iBOT hides."""
FIRST_MOMENTUM = 0.99
"""Of the teacher's moving average; it ends at 1."""


class Student(nn.Module):
    """Encoder and the two heads that self-distillation reads: what the teacher is an average of."""

    def __init__(self, config: DINOv3ViTConfig, prototypes: int) -> None:
        super().__init__()
        self.normalise, self.encoder = Normalise(*IMAGENET), DINOv3ViTModel(config)
        width = config.hidden_size
        self.dino = PrototypeHead(width, 2 * width, width // 2, prototypes)
        self.ibot = PrototypeHead(width, 2 * width, width // 2, prototypes)

    def forward(
        self, images: Images, hidden: Bool[Tensor, "batch patches"] | None = None
    ) -> tuple[Float[Tensor, "batch width"], Tokens]:
        """Class token, and patch tokens without registers; ``hidden`` patches are not seen."""
        found = self.encoder(self.normalise(images), bool_masked_pos=hidden).last_hidden_state
        return found[:, 0], found[:, 1 + self.encoder.config.num_register_tokens :]


class Vtp(VisualTokenizer, ConfigMixin):
    """A vision transformer whose class token is contrasted with captions, whose tokens are
    distilled from its own moving average, and whose narrow projection is decoded.

    The bottleneck stands before the decoder alone: all that understands reads the full width."""

    words = "VTP"
    probed, segmented = POOLED, PATCHES
    fixed, supervised_by = ("teacher.",), ("text_tower",)
    stages = (SystemStage({"anchor": 1.0, "dino": 1.0, "ibot": 1.0}),)
    training_only = ("teacher.", "student.dino.", "student.ibot.", "contrast.")
    departures = (
        "Six blocks 96 wide instead of 24 of 1,024, patches of 8 pixels, LayerNorm for RMSNorm; a "
        "bottleneck of 16 channels instead of 64.",
        "No training code and no loss weights were released: the three objectives weigh 1 each, "
        "beside the pixel losses of all rows.",
        "The contrast is with this world's frozen text tower; the published one trains its own.",
        "Two global and two local crops, 512 prototypes, no KoLeo.",
        OF_ALL_ROWS + "L1 + perceptual; the decoder is tuned with a critic afterwards.",
    )

    @register_to_config
    def __init__(
        self,
        embedding_width: int,
        image_size: int,
        patch_size: int = 8,
        width: int = 96,
        depth: int = 6,
        heads: int = 4,
        channels: int = 16,
        decoder_depth: int = 4,
        prototypes: int = 512,
    ) -> None:
        """Random weights.

        Args:
            embedding_width: Channels of the text space.
            image_size: Pixels along a side.
            patch_size: Pixels along a patch's side.
            width: Of encoder and decoder.
            depth: Blocks of the encoder.
            heads: Of a block.
            channels: Of the latent.
            decoder_depth: Blocks of the decoder.
            prototypes: Of self-distillation.
        """
        super().__init__()
        config = DINOv3ViTConfig(
            image_size=image_size,
            patch_size=patch_size,
            hidden_size=width,
            intermediate_size=8 * width // 3,
            num_hidden_layers=depth,
            num_attention_heads=heads,
            num_register_tokens=0,
            use_gated_mlp=True,
            hidden_act="silu",
            layerscale_value=1.0,
            pos_embed_rescale=None,
        )
        self.student = Student(config, prototypes)
        self.teacher = frozen(copy.deepcopy(self.student))
        self.bottleneck = nn.Linear(width, channels, bias=False)
        self.widen = nn.Conv2d(channels, width, 1)
        side = image_size // patch_size
        self.decoder = PatchDecoder(width, decoder_depth, heads, side, patch_size)
        self.to_text = nn.Linear(width, embedding_width, bias=False)
        self.contrast = Contrast()

    @classmethod
    def assembled(cls, parts: Parts) -> "Vtp":
        return cls(embedding_width=parts.embedding_width, image_size=parts.image_size)

    def encode(self, images: Images) -> Encoded:
        seen, patches = self.student(images)
        rows, columns = (side // self.config.patch_size for side in images.shape[-2:])
        latent = from_tokens(self.bottleneck(patches), (rows, columns))
        return Encoded(
            latent=latent,
            tokens={PATCHES: patches, LATENT: to_tokens(latent)},
            grid=dict.fromkeys((PATCHES, LATENT), (rows, columns)),
            embedding=self.to_text(seen),
            pooled={POOLED: torch.cat([seen, patches.mean(1)], -1)},
        )

    def decode(self, latent: Latents, size: tuple[int, int] | None = None) -> DecoderOutput:
        return DecoderOutput(self.decoder(self.widen(latent)))

    def own_losses(self, step: Pass, said: Supervision) -> Mapping[str, Scalar]:
        dino, ibot = self.self_distillation(step.images)
        anchor = self.contrast(step.encoded.embedding, said.text)
        return {"anchor": anchor, "dino": dino, "ibot": ibot}

    def self_distillation(self, images: Images) -> tuple[Scalar, Scalar]:
        """DINO's loss on class tokens of crops, and iBOT's on hidden patches of the global ones."""
        side, n = images.shape[-1], len(images)
        views = torch.cat([random_crops(images, side, *GLOBAL_CROPS) for _ in range(2)])
        parts = torch.cat([random_crops(images, side // 2, *LOCAL_CROPS) for _ in range(2)])
        with torch.no_grad():
            known, patches = self.teacher(views)
            first, second = (sinkhorn(each) for each in self.teacher.dino(known).chunk(2))
            hidden = random_masks(2 * n, patches.shape[1], MASKED, images.device)
            target = sinkhorn(self.teacher.ibot(patches[hidden]))
        seen, guessed = self.student(views, hidden)
        of_views, of_parts = (
            self.student.dino(seen).chunk(2),
            self.student.dino(self.student(parts)[0]),
        )
        across = [agreement_loss(of_views[0], second), agreement_loss(of_views[1], first)]
        across += [
            agreement_loss(each, view) for each in of_parts.chunk(2) for view in (first, second)
        ]
        return (
            torch.stack(across).mean(),
            agreement_loss(self.student.ibot(guessed[hidden]), target),
        )

    def after_step(self, progress: float) -> None:
        momentum = 1 - (1 - FIRST_MOMENTUM) * (math.cos(math.pi * progress) + 1) / 2
        move_average(self.teacher, self.student, momentum)
