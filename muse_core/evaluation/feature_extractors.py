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

import torch
from diffusers import AutoencoderDC
from einops import rearrange
from torch import Tensor, nn

from muse_core.errors import MuseError
from muse_core.evaluation.attention.student_teacher import student_attention, teacher_attention
from muse_core.foundations.backbone import Backbone
from muse_core.foundations.pixel_decoder import reconstruct_with
from muse_core.foundations.topology_teacher import TopologyTeacher
from muse_core.losses.topology import Grid
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.shapes import AttentionMaps, Embeddings, Float, Images, Tokens

SEMANTIC, HIDDEN, LATENT = "semantic stream", "block output", "latent z"
PATCHES, CLASS_TOKEN = "patch tokens", "class token"


@dataclass(frozen=True)
class Seen:
    """What one subject makes of a batch.

    ``tokens``: feature name -> tokens in raster order on ``grid[name]``. ``pooled``: features that
    are one vector an image. ``embedding`` (in the text space) and ``reconstruction`` are None for
    subjects without them."""

    tokens: dict[str, Tokens]
    grid: dict[str, Grid]
    pooled: dict[str, Float[Tensor, "batch pooled"]] = field(default_factory=dict)
    embedding: Embeddings | None = None
    reconstruction: Images | None = None


class Subject(ABC):
    """A frozen network to measure.

    ``probed`` names the feature whose mean the linear probe reads, ``segmented`` the one behind the
    mIoU."""

    name: str
    fingerprint: str
    probed: str
    segmented: str
    network: nn.Module

    @abstractmethod
    def see(self, images: Images, pixels: bool = True) -> Seen:
        """Features of images in [0, 1]; ``pixels`` False leaves the reconstruction out."""

    def attention(self, images: Images) -> tuple[AttentionMaps, ...] | None:
        """Attention probabilities of every block on the token grid; None for subjects whose
        attention is not measured.
        """
        return None


class TokenizerSubject(Subject):
    """A MUSE tokenizer of either routing. Probed where the authors' release does: the semantic
    stream for classes, the last block's output for masks (scripts/linear_probe.py,
    scripts/segment_probe.py)."""

    probed, segmented = SEMANTIC, HIDDEN

    def __init__(self, name: str, tokenizer: MuseTokenizer, fingerprint: str) -> None:
        self.name, self.network, self.fingerprint = name, tokenizer, fingerprint

    @classmethod
    def from_pretrained(
        cls, name: str, folder: Path, device: torch.device | str = "cpu"
    ) -> "TokenizerSubject":
        """Raises MuseError where the folder holds no whole tokenizer."""
        return cls(
            name,
            MuseTokenizer.from_pretrained(folder).to(device).eval(),
            folder_fingerprint(folder),
        )

    def see(self, images: Images, pixels: bool = True) -> Seen:
        grid = self.network.token_grid(images)
        connected = self.network.connect(images)
        latent = self.network.latent_of(connected, grid)
        tokens = {
            SEMANTIC: connected.semantic,
            HIDDEN: connected.hidden,
            LATENT: latent_tokens(latent),
        }
        return Seen(
            tokens=tokens,
            grid=dict.fromkeys(tokens, grid),
            embedding=self.network.semantic_head(connected.semantic),
            reconstruction=self.network.decode(latent, tuple(images.shape[-2:])).sample
            if pixels
            else None,
        )

    def attention(self, images: Images) -> tuple[AttentionMaps, ...]:
        return student_attention(self.network, images)


class BackboneSubject(Subject):
    """The pretrained backbone as it was before MUSE; ``projection`` into the text space where it
    has one.
    """

    probed = segmented = PATCHES

    def __init__(
        self, name: str, backbone: Backbone, fingerprint: str, projection: nn.Module | None = None
    ) -> None:
        self.name, self.network, self.fingerprint, self.projection = (
            name,
            backbone,
            fingerprint,
            projection,
        )

    def see(self, images: Images, pixels: bool = True) -> Seen:
        hidden = self.network.all_tokens(images)
        patches = hidden[:, 1:]
        rows, columns = (side // self.network.patch_size for side in images.shape[-2:])
        return Seen(
            tokens={PATCHES: patches},
            grid={PATCHES: (rows, columns)},
            pooled={CLASS_TOKEN: hidden[:, 0]},
            embedding=self.projection(patches.mean(1)) if self.projection is not None else None,
        )

    def attention(self, images: Images) -> tuple[AttentionMaps, ...]:
        return self.network.attention(images)


class AutoencoderSubject(Subject):
    """The plain DC-AE: pixels only, nothing ever taught it what an image shows."""

    probed = segmented = LATENT

    def __init__(self, name: str, autoencoder: AutoencoderDC, fingerprint: str) -> None:
        self.name, self.network, self.fingerprint = name, autoencoder, fingerprint

    def see(self, images: Images, pixels: bool = True) -> Seen:
        latent = self.network.encode(images * 2 - 1).latent
        return Seen(
            tokens={LATENT: latent_tokens(latent)},
            grid={LATENT: tuple(latent.shape[-2:])},
            reconstruction=reconstruct_with(self.network, images) if pixels else None,
        )


class TeacherSubject(Subject):
    """The topology teacher; its attention as the student gets it, after Psi, on ``grid`` with
    ``heads``.
    """

    probed = segmented = PATCHES

    def __init__(
        self, name: str, teacher: TopologyTeacher, fingerprint: str, heads: int, grid: Grid
    ) -> None:
        self.name, self.network, self.fingerprint, self.heads, self.grid = (
            name,
            teacher,
            fingerprint,
            heads,
            grid,
        )

    def see(self, images: Images, pixels: bool = True) -> Seen:
        side = self.network.image_size // self.network.patch_size
        return Seen(tokens={PATCHES: self.network.features(images)}, grid={PATCHES: (side, side)})

    def attention(self, images: Images) -> tuple[AttentionMaps, ...]:
        return teacher_attention(self.network, images, self.grid, self.heads)


class Chance(Subject):
    """Knows nothing: the mean training image for every image, random numbers for features, the same
    attention everywhere.
    """

    name = "chance"
    probed = segmented = "random numbers"
    width = 64

    def __init__(self, mean_image: Images, embedding_width: int, grid: Grid) -> None:
        """``mean_image`` (1, 3, height, width)."""
        self.network = nn.ParameterList([nn.Parameter(mean_image, requires_grad=False)])
        self.embedding_width, self.grid = embedding_width, grid
        image = mean_image.detach().cpu().contiguous().numpy().tobytes()
        self.fingerprint = blake2b(
            image + f"{embedding_width} {grid}".encode(), digest_size=8
        ).hexdigest()

    def see(self, images: Images, pixels: bool = True) -> Seen:
        seed = int(
            images.double().sum().item() * 1e3
        )  # the same numbers for the same images, whatever the order of batches
        draw = torch.Generator().manual_seed(seed)
        tokens = torch.randn(
            len(images), self.grid[0] * self.grid[1], self.width, generator=draw
        ).to(images.device)
        return Seen(
            tokens={self.probed: tokens},
            grid={self.probed: self.grid},
            embedding=torch.randn(len(images), self.embedding_width, generator=draw).to(
                images.device
            ),
            reconstruction=self.network[0].expand(len(images), -1, -1, -1) if pixels else None,
        )

    def attention(self, images: Images) -> tuple[AttentionMaps, ...]:
        tokens = self.grid[0] * self.grid[1]
        return (torch.full((len(images), 1, tokens, tokens), 1 / tokens, device=images.device),)


def latent_tokens(latent: Tensor) -> Tokens:
    """(batch, channels, h, w) -> (batch, h * w, channels)."""
    return rearrange(latent, "b c h w -> b (h w) c")


def folder_fingerprint(folder: Path) -> str:
    """A hash of every weight and configuration file below a folder. Raises MuseError where there is
    none.
    """
    digest = blake2b(digest_size=8)
    files = sorted(
        file for file in Path(folder).rglob("*") if file.suffix in (".safetensors", ".json", ".bin")
    )
    if not files:
        raise MuseError(
            f"{folder} holds no weights to evaluate: run the notebook that makes them first."
        )
    for file in files:
        digest.update(file.name.encode())
        with file.open("rb") as opened:
            while chunk := opened.read(1 << 22):
                digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def resting(*networks: nn.Module) -> Iterator[None]:
    """Networks in eval mode and without gradient inside the block; each in the mode it had,
    afterwards.
    """
    modes = [{module: module.training for module in network.modules()} for network in networks]
    for network in networks:
        network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for mode in modes:
            for module, training in mode.items():
                module.training = training
