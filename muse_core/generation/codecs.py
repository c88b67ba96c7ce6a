"""`Codec`: images to latents and back, by MUSE of any routing, a system of Table 1, or the plain
autoencoder.
"""

from typing import Any

import torch
from diffusers import AutoencoderDC
from torch import nn

from muse_core.baselines.visual_tokenizer import VisualTokenizer
from muse_core.errors import MuseError
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.shapes import Images, Latents
from muse_core.training.freshness import weights_digest


class Codec:
    """A frozen tokenizer; its latents are raw here, `LatentNormalisation` scales them.

    Args:
        network: A `MuseTokenizer`, a `VisualTokenizer`, or diffusers' ``AutoencoderDC``.

    Raises:
        MuseError: The network is none of them.
    """

    def __init__(self, network: nn.Module) -> None:
        if not isinstance(network, MuseTokenizer | VisualTokenizer | AutoencoderDC):
            raise MuseError(
                f"A {type(network).__name__} has no latents to generate: give a MuseTokenizer, a "
                "VisualTokenizer or an AutoencoderDC."
            )
        self.network: MuseTokenizer | VisualTokenizer | AutoencoderDC = network.eval()
        self.network.requires_grad_(False)
        self.fingerprint = weights_digest(network)
        # DC-AE works on [-1, 1], the others on [0, 1].
        self.scale, self.shift = (2, -1) if isinstance(network, AutoencoderDC) else (1, 0)

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    @torch.no_grad()
    def encode(self, images: Images) -> Latents:
        """Images in [0, 1] -> raw latents."""
        encoded: Any = self.network.encode(images * self.scale + self.shift)
        return encoded.latent

    @torch.no_grad()
    def decode(self, latents: Latents) -> Images:
        """Raw latents -> images around [0, 1], not clamped; of a discrete system by way of its
        codes.
        """
        if isinstance(self.network, VisualTokenizer):
            latents = self.network.on_codes(latents)
        decoded: Any = self.network.decode(latents)
        return (decoded.sample - self.shift) / self.scale
