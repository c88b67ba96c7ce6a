"""A system that a user would write: named ``tests.unit.baselines.own_system:OwnSystem``."""

from collections.abc import Mapping
from typing import Any, ClassVar

from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput
from torch import Tensor, nn

from muse_core.baselines.visual_tokenizer import Encoded, Parts, Pass, VisualTokenizer, to_tokens
from muse_core.config.system_stages import SystemStage

NAME = f"{__name__}:OwnSystem"


class OwnSystem(VisualTokenizer, ConfigMixin):
    """One convolution in, one out."""

    words = "own"
    probed = segmented = "latent"
    stages: ClassVar[tuple[SystemStage, ...]] = (SystemStage({"size": 0.5}),)

    @register_to_config
    def __init__(self, image_size: int) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Conv2d(3, 4, 8, 8), nn.ConvTranspose2d(4, 3, 8, 8)

    @classmethod
    def assembled(cls, parts: Parts) -> "OwnSystem":
        return cls(image_size=parts.image_size)

    def encode(self, images: Tensor) -> Encoded:
        latent = self.encoder(images)
        return Encoded(latent, {"latent": to_tokens(latent)}, {"latent": (4, 4)})

    def decode(self, latent: Tensor, size: tuple[int, int] | None = None) -> DecoderOutput:
        return DecoderOutput(self.decoder(latent))

    def own_losses(self, step: Pass, said: Any) -> Mapping[str, Tensor]:
        return {"size": step.encoded.latent.square().mean()}
