"""What turns images into latents and back, behind one interface: MUSE of any routing, and the plain
autoencoder.
"""

from abc import ABC, abstractmethod
from hashlib import blake2b

import torch
from diffusers import AutoencoderDC
from torch import nn

from muse_core.errors import MuseError
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.shapes import Images, Latents


class Codec(ABC):
    """``network`` is what a pipeline saves; latents are raw here: `LatentNormalisation` scales
    them, once.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network.eval().requires_grad_(False)
        self.fingerprint = weights_fingerprint(network)

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    @abstractmethod
    def encode(self, images: Images) -> Latents:
        """Images in [0, 1] -> raw latents."""

    @abstractmethod
    def decode(self, latents: Latents) -> Images:
        """Raw latents -> images, not clamped."""


class TokenizerCodec(Codec):
    """z of a MUSE tokenizer."""

    @torch.no_grad()
    def encode(self, images: Images) -> Latents:
        return self.network.encode(images).latent

    @torch.no_grad()
    def decode(self, latents: Latents) -> Images:
        return self.network.decode(latents).sample


class AutoencoderCodec(Codec):
    """DC-AE's own latents, which know pixels alone; it works on [-1, 1]."""

    @torch.no_grad()
    def encode(self, images: Images) -> Latents:
        return self.network.encode(images * 2 - 1).latent

    @torch.no_grad()
    def decode(self, latents: Latents) -> Images:
        return self.network.decode(latents).sample / 2 + 0.5


CODECS = {MuseTokenizer: TokenizerCodec, AutoencoderDC: AutoencoderCodec}


def codec_of(network: nn.Module) -> Codec:
    """Raises MuseError for a network that is no known tokenizer."""
    for kind, codec in CODECS.items():
        if isinstance(network, kind):
            return codec(network)
    known = " or ".join(kind.__name__ for kind in CODECS)
    raise MuseError(f"A {type(network).__name__} has no latents to generate: give a {known}.")


def weights_fingerprint(network: nn.Module) -> str:
    """A hash of every weight by name; the same wherever the network was loaded from."""
    digest = blake2b(digest_size=8)
    for name, weight in sorted(network.state_dict().items()):
        digest.update(name.encode() + weight.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
