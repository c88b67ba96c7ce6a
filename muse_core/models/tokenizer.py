"""`MuseTokenizer`: one latent that reconstructs and is understood. Conventions of diffusers'
autoencoders.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput
from diffusers.models.modeling_utils import ModelMixin
from einops import rearrange
from PIL import Image
from torch import Tensor, nn

from muse_core.attention import QueryKeys
from muse_core.config.stage import TRUNK_OPEN, Loss
from muse_core.data.own_images import Pictures
from muse_core.errors import MuseError
from muse_core.foundations.backbone import Backbone
from muse_core.foundations.loading import load_whole, require_folder_or_hub
from muse_core.foundations.pixel_decoder import PixelDecoder
from muse_core.models.backbone_routes import backbone_views, check_split
from muse_core.models.block_variants import variant_named
from muse_core.models.connector import Connector, ConnectorOutput
from muse_core.models.connector_form import form_named
from muse_core.models.gradient_routes import SHIPPED, Routing, routing_given, stop_gradient
from muse_core.models.image_processor import PLACE, MuseImageProcessor
from muse_core.models.semantic_head import SemanticHead
from muse_core.models.upload import own_card, upload
from muse_core.paths import TOKENIZER_FOLDER, stage_tokenizers
from muse_core.shapes import Embeddings, Float, Images, Latents, Tokens


@dataclass(frozen=True)
class TokenizerEncoding:
    """``latent`` feeds decoder and generator; ``semantic`` S_L is understood; ``embedding`` lives
    in the text space. A latent of two bands holds both: texture first, then semantics.
    """

    latent: Latents
    semantic: Tokens
    embedding: Embeddings


@dataclass(frozen=True)
class TokenizerOutput:
    """Everything the losses ask for. ``attention``: queries and keys, one layer per block, empty if
    not asked for; ``reconstruction``: of the first images, where fewer than all were asked for.
    """

    reconstruction: Float[Tensor, "decoded 3 image_height image_width"]
    latent: Latents
    semantic: Tokens
    embedding: Embeddings
    attention: tuple[QueryKeys, ...]

    def first(self, count: int) -> "TokenizerOutput":
        """Of the first images."""
        return TokenizerOutput(
            reconstruction=self.reconstruction[:count],
            latent=self.latent[:count],
            semantic=self.semantic[:count],
            embedding=self.embedding[:count],
            attention=tuple(layer.of_images(slice(count)) for layer in self.attention),
        )


class MuseTokenizer(ModelMixin, ConfigMixin):
    """Backbone, connector, semantic head, latent projection and pixel decoder.

    With ``semantic_channels`` the latent has two bands, z = [to_latent(H_L), to_semantic(S_L)]: the
    first is written by pixels, the second by semantics and read by the projector, z_bar = its mean
    over tokens. The decoder sees to_latent(H_L) + W sg(to_semantic(S_L)), with W from zero.

    ``backbone_config`` and ``decoder_config`` are the configurations of the two pretrained parts,
    so that a saved tokenizer is whole: `from_pretrained` needs its own folder and nothing else.
    ``image_processor`` makes its images of pictures, and is saved beside it."""

    config_name = "config.json"

    @register_to_config
    def __init__(
        self,
        backbone_config: dict[str, Any],
        decoder_config: dict[str, Any],
        image_size: int,
        unshuffle: int,
        width: int,
        num_heads: int,
        num_blocks: int,
        embedding_width: int,
        feedforward_ratio: float = 8 / 3,
        routing: str | Mapping[str, Any] | Routing = "orthogonal",
        attention: str = "multi-head",
        query_grid: int | None = None,
        semantic_channels: int = 0,
        form: str = "muse",
    ) -> None:
        """Random weights.

        Args:
            backbone_config: `Backbone.describe` of the visual backbone.
            decoder_config: `PixelDecoder.describe` of the pixel decoder.
            image_size: Pixels along a side in training.
            unshuffle: s x s backbone patches become one token.
            width: Channels of a token, a multiple of 4 x ``num_heads``.
            num_heads: Heads of each block.
            num_blocks: Synergistic blocks.
            embedding_width: Channels of the text space.
            feedforward_ratio: Hidden width of a block's feed-forward network over ``width``.
            routing: A name of `gradient_routes.ROUTINGS`, or a `Routing` of one's own, which is
                saved with the tokenizer.
            attention: A name of `block_variants.VARIANTS`.
            query_grid: Side of the grid the learnable queries are stored on; None for the token
                grid of ``image_size``.
            semantic_channels: Of the latent's semantic band, beside the decoder's own channels; 0
                for a latent of one band, and the projector reads S_L.
            form: A name of `connector_form.FORMS`.

        Raises:
            MuseError: For a width that does not divide, and unknown names.
        """
        super().__init__()
        if (own := routing_given(routing)) not in SHIPPED:
            self.register_to_config(routing=asdict(own))
        if width % (4 * num_heads):
            raise MuseError(
                f"A connector {width} wide with {num_heads} heads has no 2-D rotary embedding: "
                "make the width a multiple of 4 x heads."
            )
        self.image_processor = MuseImageProcessor(image_size)
        self.backbone = Backbone(backbone_config)
        self.decoder = PixelDecoder(decoder_config)
        shape = width, num_heads, num_blocks, feedforward_ratio
        grid = query_grid or image_size // self.backbone.patch_size // unshuffle
        kind, built = (own, variant_named(attention)), form_named(form)
        check_split(self.backbone, own)
        self.connector = Connector(self.backbone.width, unshuffle, *shape, grid, *kind, built)
        self.to_latent = nn.Sequential(
            nn.RMSNorm(width, eps=1e-6) if built.normed_heads else nn.Identity(),
            nn.Linear(width, self.decoder.latent_channels),
        )
        read, hidden = semantic_channels or width, 2 * width if built.normed_heads else width
        self.semantic_head = SemanticHead(read, hidden, embedding_width, built.normed_heads)
        if semantic_channels:
            self.to_semantic = nn.Sequential(
                nn.RMSNorm(width, eps=1e-6), nn.Linear(width, semantic_channels)
            )
            self.semantics_to_decoder = nn.Conv2d(
                semantic_channels, self.decoder.latent_channels, 1, bias=False
            )
            nn.init.zeros_(self.semantics_to_decoder.weight)

    if TYPE_CHECKING:
        # diffusers decorates both so that a type checker loses them
        config: Any

        def to(self, *where: Any, **options: Any) -> "MuseTokenizer": ...

    @classmethod
    def from_pretrained(cls, location: str | Path, **options: Any) -> "MuseTokenizer":
        """A saved tokenizer, whole.

        Args:
            location: Its folder, or a hub id OWNER/NAME.
            **options: As diffusers' `ModelMixin.from_pretrained` takes them.

        Raises:
            MuseError: For a checkpoint that is missing, damaged or of another model.
        """
        location = require_folder_or_hub("tokenizer", location)
        _refuse_folder_of_one(Path(location))
        remedy = "run the stage that made it again"
        tokenizer = load_whole(super().from_pretrained, "tokenizer", location, remedy, **options)
        place = {name: options[name] for name in PLACE if name in options}
        tokenizer.image_processor = MuseImageProcessor.from_pretrained(location, **place)
        return tokenizer

    @wraps(ModelMixin.save_pretrained)
    def save_pretrained(self, save_directory: str | Path, *given: Any, **options: Any) -> None:
        super().save_pretrained(save_directory, *given, **options)
        self.image_processor.save_pretrained(save_directory)

    @property
    def cell(self) -> int:
        """Pixels along a side of a token."""
        return self.backbone.patch_size * self.config.unshuffle

    def push_to_hub(self, repo_id: str, card: str = "", **options: Any) -> str:
        """Upload configuration, weights and model card to the hub.

        Args:
            repo_id: OWNER/NAME, made where there is none.
            card: Text of the README.md; that beside the folder this was loaded from, if empty.
            **options: As diffusers' `ModelMixin.push_to_hub` takes them: ``private``, ``token``,
                ``commit_message``, ``create_pr``.

        Returns:
            The commit's address.

        Raises:
            MuseError: There is no card, or the hub refuses.
        """
        card = card or own_card(str(self.config.get("_name_or_path") or ""))
        return upload(self, repo_id, card, **options)

    def to_json_string(self) -> str:
        """The configuration as it is saved: without the folder of this machine it came from."""
        kept = json.loads(super().to_json_string())
        kept.pop("_name_or_path", None)
        return json.dumps(kept, indent=2, sort_keys=True) + "\n"

    @property
    def routing(self) -> Routing:
        """Which gradient paths its blocks cut."""
        return routing_given(self.config.routing)

    def patch_grid(self, images: Images) -> tuple[int, int]:
        """Backbone patches (rows, columns). Raises MuseError for an image size that is not a whole
        number of tokens.
        """
        cell = self.cell
        height, width = images.shape[-2:]
        if height % cell or width % cell:
            raise MuseError(
                f"Images of {height} x {width} pixels do not divide into tokens of {cell} x "
                f"{cell}: resize them."
            )
        return height // self.backbone.patch_size, width // self.backbone.patch_size

    def token_grid(self, images: Images) -> tuple[int, int]:
        """Latent positions (rows, columns), which is also the grid of the attention maps."""
        rows, columns = self.patch_grid(images)
        return rows // self.config.unshuffle, columns // self.config.unshuffle

    def connect(
        self,
        images: Images,
        trunk_hears: frozenset[Loss] = TRUNK_OPEN,
        with_attention: bool = False,
    ) -> ConnectorOutput:
        """Backbone and connector."""
        topology_heard = with_attention and Loss.TOPOLOGY in trunk_hears
        grid = self.patch_grid(images)
        content, structure = backbone_views(self.backbone, images, self.routing, topology_heard)
        return self.connector(content, grid, trunk_hears, with_attention, structure)

    @property
    def latent_channels(self) -> int:
        """Of both bands."""
        return self.decoder.latent_channels + self.config.semantic_channels

    def latent_of(self, connected: ConnectorOutput, grid: tuple[int, int]) -> Latents:
        """The latent on its grid. A routing that isolates its streams leaves it the texture band's
        gradient alone: the semantic one is trained through the embedding.
        """
        tokens = self.to_latent(connected.hidden)
        if self.config.semantic_channels:
            semantics = self.to_semantic(connected.semantic)
            if self.routing.streams_isolated:
                semantics = stop_gradient(semantics)
            tokens = torch.cat([tokens, semantics], -1)
        return rearrange(tokens, "b (h w) c -> b c h w", h=grid[0], w=grid[1])

    def embedding_of(self, connected: ConnectorOutput) -> Embeddings:
        """g_phi of what is understood: the semantic band, or S_L."""
        read = connected.semantic
        return self.semantic_head(self.to_semantic(read) if self.config.semantic_channels else read)

    def encode(self, images: Images) -> TokenizerEncoding:
        """Images -> latent, semantic tokens and image embedding.

        Args:
            images: (batch, 3, height, width), RGB in [0, 1].

        Raises:
            MuseError: For a size that is not a whole number of tokens.
        """
        connected = self.connect(images)
        latent = self.latent_of(connected, self.token_grid(images))
        return TokenizerEncoding(latent, connected.semantic, self.embedding_of(connected))

    def decode(self, latent: Latents, size: tuple[int, int] | None = None) -> DecoderOutput:
        """Latent -> ``sample``, images in [0, 1], not clamped.

        Args:
            latent: (batch, channels, rows, columns), as `encode` gives it.
            size: (height, width) in pixels, where the decoder's own differs from the images'.
        """
        if self.config.semantic_channels:
            latent, semantics = latent.tensor_split([self.decoder.latent_channels], 1)
            latent = latent + self.semantics_to_decoder(semantics)
        images = self.decoder(latent)
        if size is not None and images.shape[-2:] != size:
            how: dict[str, Any] = dict(mode="bilinear", align_corners=False)
            # In float32, as there is no antialiasing in bfloat16 on CPUs.
            smooth = self.connector.form.antialiased
            images = F.interpolate(images.float(), size, antialias=smooth, **how)
        return DecoderOutput(images)

    def encode_image(self, images: Pictures) -> TokenizerEncoding:
        """`encode` of pictures as they come, without gradient.

        Args:
            images: A path, a Pillow image, an array, a tensor, or several (`Pictures`).

        Raises:
            MuseError: For what is no picture.
        """
        batch = self.image_processor(images)["pixel_values"]
        with torch.no_grad():
            return self.encode(batch.to(self.device, self.dtype))

    def decode_image(self, latent: Latents) -> list[Image.Image]:
        """`decode` without gradient to Pillow images, one a latent, of the size that was encoded.

        Args:
            latent: (batch, channels, rows, columns), as `encode` and `encode_image` give it.
        """
        rows, columns = (side * self.cell for side in latent.shape[-2:])
        with torch.no_grad():
            images = self.decode(latent.to(self.device, self.dtype), (rows, columns)).sample
        return self.image_processor.post_process(images)

    def forward(
        self,
        images: Images,
        trunk_hears: frozenset[Loss] = TRUNK_OPEN,
        with_attention: bool = False,
        decoded: int | None = None,
    ) -> TokenizerOutput:
        """One pass for all losses.

        Args:
            images: (batch, 3, height, width), RGB in [0, 1].
            trunk_hears: Losses whose gradient reaches adapter, queries and backbone, as in `Stage`.
            with_attention: Whether queries and keys of every block are handed out.
            decoded: How many images, the first ones, are decoded; None for all.
        """
        connected = self.connect(images, trunk_hears, with_attention)
        latent = self.latent_of(connected, self.token_grid(images))
        return TokenizerOutput(
            reconstruction=self.decode(
                latent[:decoded], (images.shape[-2], images.shape[-1])
            ).sample,
            latent=latent,
            semantic=connected.semantic,
            embedding=self.embedding_of(connected),
            attention=connected.attention,
        )


def _refuse_folder_of_one(folder: Path) -> None:
    """Raises MuseError for a run's or a stage's folder, with the place of the tokenizer in it."""
    inside = [*stage_tokenizers(folder), folder / TOKENIZER_FOLDER] if folder.is_dir() else []
    held = [each for each in inside if (each / "config.json").exists()]
    if held and not (folder / "config.json").exists():
        raise MuseError(f"{folder} is no tokenizer, but holds one: give {held[-1]}.")
