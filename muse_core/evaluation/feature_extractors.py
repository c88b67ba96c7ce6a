"""What can be evaluated, behind one interface: a tokenizer, its backbone alone, a plain
autoencoder, the teacher, chance.

Features carry the names that the table prints, so that nobody has to guess what was probed.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Generic, TypeVar

import torch
from diffusers import AutoencoderDC
from einops import rearrange
from torch import Tensor, nn

from muse_core.baselines.visual_tokenizer import LATENT, PATCHES, VisualTokenizer
from muse_core.evaluation.attention.student_teacher import student_attention, teacher_attention
from muse_core.foundations.backbone import Backbone
from muse_core.foundations.pixel_decoder import encode_with, reconstruct_with
from muse_core.foundations.topology_teacher import TopologyTeacher
from muse_core.losses.topology import Grid
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.results.trained_code import folder_fingerprint
from muse_core.shapes import AttentionMaps, Embeddings, Float, Images, Tokens
from muse_core.training.freshness import own_code

SEMANTIC, HIDDEN, TRUNK = "semantic stream", "block output", "trunk H_0"
CLASS_TOKEN = "class token"
RANDOM, RANDOM_WIDTH = "random numbers", 64

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Features:
    """What a frozen network makes of a batch of images.

    ``tokens``: feature name -> (batch, tokens, width) in raster order on ``grid[name]``.
    ``pooled``: features that are one vector an image, (batch, width). ``embedding`` (batch, width
    of the text space) and ``reconstruction`` (batch, 3, height, width) are None for networks
    without them."""

    tokens: dict[str, Tokens]
    grid: dict[str, Grid]
    pooled: dict[str, Float[Tensor, "batch pooled"]] = field(default_factory=dict)
    embedding: Embeddings | None = None
    reconstruction: Images | None = None


class Read:
    """What of a network's features is read: ``probed`` names the one whose mean the linear probe
    reads, ``segmented`` the one behind the mIoU; ``has_latent``: whether a generator can be trained
    on it.
    """

    probed: str
    segmented: str
    has_latent: bool = False


@dataclass
class FeatureExtractor(Read, ABC, Generic[Network]):
    """A frozen network to measure, under its row's ``name``; ``fingerprint`` tells its weights."""

    name: str
    network: Network
    fingerprint: str

    @abstractmethod
    def features(self, images: Images, pixels: bool = True) -> Features:
        """Features of a batch.

        Args:
            images: (batch, 3, height, width) in [0, 1].
            pixels: False leaves the reconstruction out.
        """

    def attention(self, images: Images) -> tuple[AttentionMaps, ...] | None:
        """Attention probabilities of every block on the token grid; None for networks whose
        attention is not measured.
        """
        return None

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device


class TokenizerExtractor(FeatureExtractor[MuseTokenizer]):
    """A MUSE tokenizer of any routing, probed on its semantic stream.

    The authors' release reads masks off the last block's output (scripts/segment_probe.py); there
    an untrained connector gains as much as a trained one, by its width and norms alone. That figure
    stands beside, with those of H_0 and z."""

    probed = segmented = SEMANTIC
    has_latent = True

    @classmethod
    def from_pretrained(
        cls, name: str, folder: Path, device: torch.device | str = "cpu"
    ) -> "TokenizerExtractor":
        """A saved tokenizer under the name of its row.

        Raises:
            MuseError: where the folder holds no whole tokenizer.
        """
        tokenizer = frozen(MuseTokenizer.from_pretrained(folder), device)
        return cls(name, tokenizer, folder_fingerprint(folder))

    def features(self, images: Images, pixels: bool = True) -> Features:
        """Of every stream, and of the backbone as it is now."""
        (height, width), grid = images.shape[-2:], self.network.token_grid(images)
        connected = self.network.connect(images)
        latent = self.network.latent_of(connected, grid)
        tokens = {
            SEMANTIC: connected.semantic,
            HIDDEN: connected.hidden,
            LATENT: latent_tokens(latent),
            TRUNK: connected.trunk,
        }
        grids = dict.fromkeys(tokens, grid) | {PATCHES: self.network.patch_grid(images)}
        return Features(
            tokens=tokens | {PATCHES: self.network.backbone(images)},
            grid=grids,
            embedding=self.network.embedding_of(connected),
            reconstruction=self.network.decode(latent, (height, width)).sample if pixels else None,
        )

    def attention(self, images: Images) -> tuple[AttentionMaps, ...]:
        return student_attention(self.network, images)


@dataclass
class BackboneExtractor(FeatureExtractor[Backbone]):
    """The pretrained backbone as it was before MUSE; ``projection`` into the text space where it
    has one.
    """

    projection: nn.Module | None = None
    probed = segmented = PATCHES

    def features(self, images: Images, pixels: bool = True) -> Features:
        prefix, patches = self.network.split(images)
        return Features(
            tokens={PATCHES: patches},
            grid={PATCHES: self.network.grid(images)},
            pooled={CLASS_TOKEN: prefix[:, 0]} if prefix.shape[1] else {},
            embedding=self.projection(patches.mean(1)) if self.projection is not None else None,
        )

    def attention(self, images: Images) -> tuple[AttentionMaps, ...]:
        return self.network.attention(images)


class AutoencoderExtractor(FeatureExtractor[AutoencoderDC]):
    """The plain DC-AE: pixels only, nothing ever taught it what an image shows."""

    has_latent = True
    probed = segmented = LATENT

    def features(self, images: Images, pixels: bool = True) -> Features:
        latent = encode_with(self.network, images)
        rows, columns = latent.shape[-2:]
        return Features(
            tokens={LATENT: latent_tokens(latent)},
            grid={LATENT: (rows, columns)},
            reconstruction=reconstruct_with(self.network, images) if pixels else None,
        )


@dataclass
class SystemExtractor(FeatureExtractor[VisualTokenizer]):
    """A system of Table 1, probed on the features that its class names."""

    has_latent = True

    def __post_init__(self) -> None:
        """Weights do not tell what is read of them: the class counts too."""
        self.probed, self.segmented = self.network.probed, self.network.segmented
        kind = type(self.network)
        code = "" if kind.__module__.startswith("muse_core.") else own_code(kind)
        self.fingerprint += f"/{kind.__name__}{code}"

    def features(self, images: Images, pixels: bool = True) -> Features:
        """Its own, and its latent."""
        encoded, size = self.network.encode(images), (images.shape[-2], images.shape[-1])
        rows, columns = encoded.latent.shape[-2:]
        return Features(
            tokens=encoded.tokens | {LATENT: latent_tokens(encoded.latent)},
            grid=encoded.grid | {LATENT: (rows, columns)},
            pooled=encoded.pooled,
            embedding=encoded.embedding,
            reconstruction=self.network.decode(encoded.latent, size).sample if pixels else None,
        )


@dataclass
class TeacherExtractor(FeatureExtractor[TopologyTeacher]):
    """The topology teacher; its attention as the student gets it, after Psi, on ``student_grid``
    with ``heads``.
    """

    heads: int
    student_grid: Grid
    probed = segmented = PATCHES

    def features(self, images: Images, pixels: bool = True) -> Features:
        side = self.network.image_size // self.network.patch_size
        return Features({PATCHES: self.network.features(images)}, {PATCHES: (side, side)})

    def attention(self, images: Images) -> tuple[AttentionMaps, ...]:
        return teacher_attention(self.network, images, self.student_grid, self.heads)


class ChanceExtractor(FeatureExtractor[nn.ParameterList]):
    """Knows nothing: the mean training image for every image, random numbers for features, the same
    attention everywhere.
    """

    probed = segmented = RANDOM

    def __init__(self, mean_image: Images, embedding_width: int, grid: Grid) -> None:
        """``mean_image`` (1, 3, height, width)."""
        digest = blake2b(f"{embedding_width} {grid}".encode(), digest_size=8)
        digest.update(tensor_bytes(mean_image))
        network = nn.ParameterList([nn.Parameter(mean_image, requires_grad=False)])
        super().__init__("chance", network, digest.hexdigest())
        self.embedding_width, self.grid, self.tokens = embedding_width, grid, grid[0] * grid[1]

    def features(self, images: Images, pixels: bool = True) -> Features:
        # the same numbers for the same images, whatever the order of batches
        draw = torch.Generator().manual_seed(int(images.double().sum().item() * 1e3))
        n, device = len(images), images.device
        tokens = torch.randn(n, self.tokens, RANDOM_WIDTH, generator=draw).to(device)
        return Features(
            tokens={RANDOM: tokens},
            grid={RANDOM: self.grid},
            embedding=torch.randn(n, self.embedding_width, generator=draw).to(device),
            reconstruction=self.network[0].expand(n, -1, -1, -1) if pixels else None,
        )

    def attention(self, images: Images) -> tuple[AttentionMaps, ...]:
        shape = (len(images), 1, self.tokens, self.tokens)
        return (torch.full(shape, 1 / self.tokens, device=images.device),)


def latent_tokens(latent: Tensor) -> Tokens:
    """(batch, channels, h, w) -> (batch, h * w, channels)."""
    return rearrange(latent, "b c h w -> b (h w) c")


def tensor_bytes(tensor: Tensor) -> bytes:
    """A tensor's values, to be hashed."""
    return tensor.detach().cpu().contiguous().numpy().tobytes()


def frozen(network: Network, device: torch.device | str) -> Network:
    """The network on the device, in eval mode and without gradient."""
    return network.eval().requires_grad_(False).to(device)


@contextmanager
def eval_mode(*networks: nn.Module) -> Iterator[None]:
    """Networks in eval mode and without gradient inside the block; every module in the mode it had,
    afterwards.
    """
    modes = {module: module.training for network in networks for module in network.modules()}
    for network in networks:
        network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes.items():
            module.training = training
