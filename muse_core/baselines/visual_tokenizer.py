"""`VisualTokenizer`: what every system of Table 1 is: images to a latent and back, and features to
be read. Conventions of diffusers' autoencoders.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeVar

import torch
from diffusers.models.autoencoders.vae import DecoderOutput
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from muse_core.config.preset import Preset
from muse_core.config.system_stages import SystemStage
from muse_core.errors import MuseError
from muse_core.foundations.backbone import Backbone
from muse_core.foundations.image_tower import image_projection
from muse_core.foundations.loading import load_whole, require_folder_or_hub
from muse_core.foundations.pixel_decoder import load_autoencoder
from muse_core.shapes import Embeddings, Float, Images, Int, Latents, Scalar, Tokens

LATENT, PATCHES = "latent z", "patch tokens"
"""Names that features have in all tables."""
OF_ALL_ROWS = (
    "Pixel losses (L1 + 5 x L2, features of this world's perceptual network, a critic from the "
    "first step at a fixed weight), optimiser and moving average are those of MUSE's last stage, "
    "as in all rows. Published: "
)
"""The beginning of a departure that every system has."""

Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class Encoded:
    """What a system makes of images.

    Args:
        latent: What `VisualTokenizer.decode` reads and a denoiser generates, (batch, channels,
            rows, columns). Of discrete systems the codes' vectors.
        tokens: Feature name -> (batch, tokens, width) in raster order on ``grid[name]``; the latent
            itself need not be among them.
        grid: Feature name -> (rows, columns).
        embedding: Of the image in the text space, (batch, width), or None.
        codes: Index of each code, (batch, positions, codebooks), or None for a continuous latent.
        pooled: Features that are one vector an image, name -> (batch, width).
        aside: What the system's own losses look at, by name.
    """

    latent: Latents
    tokens: dict[str, Tokens] = field(default_factory=dict)
    grid: dict[str, tuple[int, int]] = field(default_factory=dict)
    embedding: Embeddings | None = None
    codes: Int[Tensor, "batch positions codebooks"] | None = None
    pooled: dict[str, Float[Tensor, "batch pooled"]] = field(default_factory=dict)
    aside: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Pass:
    """One pass of a training step: the images, what they were encoded as, and decoded again."""

    images: Images
    encoded: Encoded
    reconstruction: Images


if TYPE_CHECKING:

    class Supervision(Protocol):
        """What frozen networks say of a batch; each is asked when a loss first looks."""

        @property
        def text(self) -> Embeddings:
            """Of the captions."""
            ...

        @property
        def teacher_tokens(self) -> Tokens:
            """The topology teacher's last patch tokens."""
            ...

        @property
        def backbone_tokens(self) -> Tokens:
            """The frozen backbone's patch tokens."""
            ...

else:
    # A check of types while running would ask every property, and so every network.
    Supervision = Any


@dataclass(frozen=True)
class Parts:
    """What a new system may be built from.

    Args:
        preset: Image size, and where the pretrained parts lie.
        embedding_width: Channels of the text space.
        teacher_width: Channels of the topology teacher's tokens.
        images: Training images, (batch, 3, height, width), to measure statistics on.
    """

    preset: Preset
    embedding_width: int
    teacher_width: int
    images: Images

    @property
    def image_size(self) -> int:
        return self.preset.image_size

    @cached_property
    def backbone(self) -> Backbone:
        """The pretrained backbone. Raises MuseError where it cannot be loaded."""
        # What a system draws at random must not depend on what was loaded before.
        with torch.random.fork_rng():
            return Backbone.from_pretrained(self.preset.foundations.backbone)

    @cached_property
    def autoencoder(self) -> Any:
        """The pretrained DC-AE. Raises MuseError where it cannot be loaded."""
        with torch.random.fork_rng():
            return load_autoencoder(self.preset.foundations.autoencoder)

    def projection(self) -> nn.Linear:
        """The backbone's own projection into the text space.

        Raises:
            MuseError: None lies beside it.
        """
        with torch.random.fork_rng():
            found = image_projection(self.preset.foundations.backbone)
        if found is None:
            raise MuseError(
                "This system names images by the backbone's own projection into the text space, "
                f"and none lies beside {self.preset.foundations.backbone}: give a backbone that "
                "has one."
            )
        return found


class VisualTokenizer(ModelMixin, ABC):
    """A system of Table 1. A leaf is a ``ConfigMixin`` too, whose registered constructor takes
    ``image_size`` and makes random weights, so that `from_pretrained` needs the saved folder and
    nothing else.
    """

    config_name = "config.json"
    words: ClassVar[str]
    """What tables call it."""
    departures: ClassVar[tuple[str, ...]] = ()
    """How it differs from the published one, a sentence each."""
    probed: ClassVar[str]
    """The feature whose mean the linear probe reads."""
    segmented: ClassVar[str]
    """The feature behind the mIoU."""
    pretrained: ClassVar[tuple[str, ...]] = ()
    """Beginnings of the names of weights that come from the backbone: a stage has a rate for
    them.
    """
    fixed: ClassVar[tuple[str, ...]] = ()
    """Beginnings of the names of weights that no stage trains."""
    training_only: ClassVar[tuple[str, ...]] = ()
    """Beginnings of the names of weights that neither `encode` nor `decode` reads."""
    built_from: ClassVar[tuple[str, ...]] = ()
    """The pretrained parts in it: "backbone", "autoencoder"."""
    supervised_by: ClassVar[tuple[str, ...]] = ()
    """The pretrained networks that its own losses ask: "teacher", "text_tower", "backbone"."""
    stages: ClassVar[tuple[SystemStage, ...]] = (SystemStage(),)
    """How it is trained: weights of its own losses, published ones where there are any, and shares
    of the images.
    """

    @classmethod
    @abstractmethod
    def assembled(cls, parts: Parts) -> "VisualTokenizer":
        """A new one on its pretrained parts."""

    @abstractmethod
    def encode(self, images: Images) -> Encoded:
        """Images in [0, 1], (batch, 3, height, width) -> latent and features."""

    @abstractmethod
    def decode(self, latent: Latents, size: tuple[int, int] | None = None) -> DecoderOutput:
        """Latent -> ``sample``, images in [0, 1], not clamped; ``size`` (height, width) is given
        where the images' own is another than the decoder makes.
        """

    def forward(self, images: Images) -> Pass:
        """One pass for all losses. Raises MuseError where images come back in another size."""
        encoded = self.encode(images)
        decoded = self.decode(encoded.latent, size_of(images)).sample
        if decoded.shape != images.shape:
            raise MuseError(
                f"{self.words} gives images of {size_of(images)} pixels back as "
                f"{size_of(decoded)}: choose an image size that divides into its tokens."
            )
        return Pass(images, encoded, decoded)

    def on_codes(self, latent: Latents) -> Latents:
        """A latent that something else made, on the nearest codes of a discrete system."""
        return latent

    @property
    def codebooks(self) -> tuple[int, int] | None:
        """(how many codebooks, codes of each); None for a continuous latent."""
        return None

    def own_losses(self, step: Pass, said: Supervision) -> Mapping[str, Scalar]:
        """Its losses beside those on pixels, by the names that a stage weights."""
        return {}

    def adaptive(self) -> Mapping[str, Tensor]:
        """Loss -> the weight at which its gradient is scaled to the size of the pixels' gradient
        (Esser et al. 2021), before the stage's own weight counts.
        """
        return {}

    def after_step(self, progress: float) -> None:
        """Called after each step, with the share of the stage that is done."""

    if TYPE_CHECKING:
        # diffusers decorates both so that a type checker loses them
        config: Any

        def to(self, *where: Any, **options: Any) -> Self: ...

    @classmethod
    def from_pretrained(cls, location: str | Path, **options: Any) -> "VisualTokenizer":
        """A saved one, whole.

        Args:
            location: Its folder, or a hub id OWNER/NAME.
            **options: As diffusers' `ModelMixin.from_pretrained` takes them.

        Raises:
            MuseError: It is missing, damaged or of another kind.
        """
        location = require_folder_or_hub("tokenizer", location)
        remedy = "run the stage that made it again"
        return load_whole(super().from_pretrained, "tokenizer", location, remedy, **options)


def size_of(images: Images) -> tuple[int, int]:
    """(height, width) in pixels."""
    return images.shape[-2], images.shape[-1]


def grid_of(latent: Latents) -> tuple[int, int]:
    """(rows, columns) of a latent."""
    return latent.shape[-2], latent.shape[-1]


def from_tokens(tokens: Tokens, grid: tuple[int, int]) -> Latents:
    """(batch, rows * columns, width) -> (batch, width, rows, columns)."""
    return tokens.transpose(1, 2).unflatten(2, grid)


def to_tokens(latent: Latents) -> Tokens:
    """The inverse of `from_tokens`."""
    return latent.flatten(2).transpose(1, 2)


def frozen(module: Module) -> Module:
    """The module in eval mode, without gradient."""
    return module.eval().requires_grad_(False)


@torch.no_grad()
def channel_statistics(tokens: Tokens) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel."""
    flat = tokens.flatten(0, 1).double()
    return flat.mean(0).float(), flat.std(0).clamp(min=1e-4).float()
