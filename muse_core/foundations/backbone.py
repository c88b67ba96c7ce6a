"""The visual backbone: InternViT, or another vision transformer whose tokens form a grid."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel

from muse_core.errors import MuseError, shown
from muse_core.foundations.captured_attention import captured_attention
from muse_core.foundations.image_normalisation import COLOUR_KEYS, IMAGENET, Normalise
from muse_core.foundations.internvl_layouts import vision_tower
from muse_core.foundations.loading import fill, load_complete, reading
from muse_core.foundations.parts import BACKBONE, colours_of, open_part, read_config
from muse_core.foundations.timm_networks import (
    PREFIX,
    described_by_timm,
    timm_by_name,
    timm_from_folder,
)
from muse_core.foundations.vision_transformers import (
    InternVit,
    TimmVit,
    TransformersVit,
    kind_of,
    vision_config,
    without_pooler,
)
from muse_core.shapes import AttentionMaps, Float, Images, Tokens


class Backbone(nn.Module):
    """A vision transformer without its class token and registers: images in [0, 1] -> patch tokens
    of the last layer, in raster order.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        """``config``: as `describe` returns it: the dictionary of an `InternVLVisionConfig`, or
        that of another vision model with its ``model_type`` (transformers) or ``architecture``
        (timm), and how its images are normalised. Weights are random."""
        super().__init__()
        self.kind = kind_of(config)
        self.colours = {key: list(config[key]) for key in COLOUR_KEYS if key in config}
        self.normalise = Normalise(*(self.colours.values() or IMAGENET))
        self.network: Any = self.kind.build(config)

    @classmethod
    def from_pretrained(cls, location: str | Path) -> "Backbone":
        """A folder, a hub id or ``timm:NAME``: an InternVL3 in any layout of `internvl_layouts`, a
        vision model of transformers (or a whole CLIP or SigLIP), a ViT of timm.

        Raises:
            MuseError: Where a weight is missing, too many or misshapen, where nothing says how
                images are normalised, and for a network whose tokens form no grid of patches.
        """
        config, weights, where = opened(location)
        remedy = "give a folder whose config.json and weights are of one vision transformer"
        with reading(BACKBONE.name, where, remedy):
            backbone = cls(config)
        fill(BACKBONE.name, where, backbone.network, weights)
        check_grid(backbone, where)
        return backbone

    def describe(self) -> dict[str, Any]:
        """The configuration that rebuilds this network."""
        return self.kind.describe(self.network) | self.colours

    @property
    def words(self) -> str:
        """What it is called in tables."""
        return "InternViT" if type(self.kind) is InternVit else type(self.network).__name__

    @property
    def width(self) -> int:
        return self.kind.sizes(self.network)[0]

    @property
    def patch_size(self) -> int:
        return self.kind.sizes(self.network)[1]

    @property
    def layers(self) -> list[nn.Module]:
        """The transformer's layers in order."""
        return self.kind.layers(self.network)

    def all_tokens(self, images: Images) -> Tokens:
        """Class token and registers where there are any, then the patch tokens."""
        return self.kind.tokens(self.network, self.normalise(images))

    def split(
        self, images: Images
    ) -> tuple[Float[Tensor, "batch prefix width"], Float[Tensor, "batch patches width"]]:
        """Class token and registers, maybe none; and the patch tokens.

        Raises MuseError where the patch tokens are no grid of the images."""
        tokens, (rows, columns) = self.all_tokens(images), self.grid(images)
        prefix = tokens.shape[1] - rows * columns
        if prefix not in self.kind.prefixes(self.network):
            raise MuseError(
                f"{type(self.network).__name__} gives {tokens.shape[1]} tokens for {rows} x "
                f"{columns} patches: choose a vision transformer with one token a patch, after its "
                "class token and registers."
            )
        return tokens[:, :prefix], tokens[:, prefix:]

    def grid(self, images: Images) -> tuple[int, int]:
        """Patches (rows, columns)."""
        height, width = images.shape[-2:]
        return height // self.patch_size, width // self.patch_size

    def attention(self, images: Images) -> tuple[AttentionMaps, ...]:
        """Patch-to-patch probabilities of every layer, on the grid of patches."""
        with captured_attention(self.network, self.layers) as found:
            prefix, _ = self.split(images)
        return tuple(each.without_prefix(prefix.shape[1]).probabilities() for each in found)

    def forward(self, images: Images) -> Tokens:
        return self.split(images)[1]


def opened(location: str | Path) -> tuple[dict[str, Any], dict[str, Tensor], str]:
    """Description, weights, and where they lie in words. Raises MuseError where they cannot be
    read.
    """
    if str(location).startswith(PREFIX):
        name = str(location).removeprefix(PREFIX)
        network = timm_by_name(BACKBONE, name, **TimmVit.FLEXIBLE)
        colours = [list(network.pretrained_cfg[key]) for key in ("mean", "std")]
        said = {"architecture": name, "model_args": {}} | dict(
            zip(COLOUR_KEYS, colours, strict=True)
        )
        return said, network.state_dict(), str(location)
    folder = open_part(BACKBONE, location)
    config, where = read_config(BACKBONE, folder), str(folder)
    if config.get("model_type") in BACKBONE.kinds:
        return *vision_tower(folder), where
    if "architecture" in config:
        return *_saved_by_timm(folder), where
    return *_of_transformers(folder, config), where


def _saved_by_timm(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    name, sizes, colours = described_by_timm(BACKBONE, folder)
    network = timm_from_folder(BACKBONE, folder, name, {**sizes, **TimmVit.FLEXIBLE})
    means = {key: colours[key.removeprefix("image_")] for key in COLOUR_KEYS}
    said = {"architecture": name, "model_args": sizes}
    return said | colours_of(BACKBONE, folder, means), network.state_dict()


def _of_transformers(
    folder: Path, config: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    with reading(BACKBONE.name, str(folder)):
        vision = vision_config(config)
    if vision is None:
        raise MuseError(
            f"The {BACKBONE.name} {str(folder)!r} holds {shown(config.get('model_type'))}, not "
            f"{BACKBONE.needed}."
        )
    network, _ = load_complete(
        AutoModel.from_pretrained,
        BACKBONE.name,
        str(folder),
        config=vision,
        attn_implementation="sdpa",
        dtype=torch.float32,
        trust_remote_code=False,
        **without_pooler(type(vision)),
    )
    said = TransformersVit().describe(network) | colours_of(BACKBONE, folder)
    return said, network.state_dict()


def check_grid(backbone: Backbone, where: str) -> None:
    """Two rows and three columns of patches must come out as six tokens, at a size that is not the
    network's own. Raises MuseError otherwise.
    """
    pixels = torch.zeros(1, 3, 2 * backbone.patch_size, 3 * backbone.patch_size)
    try:
        with torch.no_grad():
            backbone.eval()(pixels)
    # Each network has its own way to refuse images of another size.
    except Exception as error:
        raise MuseError(
            f"The {BACKBONE.name} {where} gives no token a patch for images of any size "
            f"({str(error).strip().splitlines()[0][:150]}): choose {BACKBONE.needed}."
        ) from error
    finally:
        backbone.train()
