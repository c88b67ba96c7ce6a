"""The topology teacher: a self-supervised ViT whose attention shows objects (DINOv3, DINOv2, or any
timm ViT by name).
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoModel, DINOv3ViTModel, PreTrainedModel

from muse_core.attention import QueryKeys
from muse_core.errors import MuseError
from muse_core.foundations.captured_attention import captured_attention
from muse_core.foundations.image_normalisation import IMAGENET, Normalise
from muse_core.foundations.loading import load_complete
from muse_core.foundations.parts import TEACHER, check_normalisation, open_part
from muse_core.foundations.timm_networks import (
    described_by_timm,
    timm_by_name,
    timm_from_folder,
)
from muse_core.foundations.vision_transformers import TransformersVit
from muse_core.shapes import AttentionMaps, Float, Images, Tokens


@dataclass(frozen=True)
class TeacherView:
    """What the teacher saw.

    ``query_keys``: attention of the chosen layers among patches, on the teacher's own ``grid``
    (prefix tokens dropped). ``features``: patch tokens of the last layer."""

    query_keys: tuple[QueryKeys, ...]
    features: Tokens
    grid: tuple[int, int]

    @property
    def attention(self) -> tuple[AttentionMaps, ...]:
        """Patch-to-patch probabilities of the chosen layers, whole; formed when asked for."""
        return tuple(layer.probabilities() for layer in self.query_keys)

    def first(self, count: int) -> "TeacherView":
        """Of the first images."""
        layers = tuple(layer.of_images(slice(count)) for layer in self.query_keys)
        return TeacherView(layers, self.features[:count], self.grid)


class TopologyTeacher(nn.Module, ABC):
    """Images in [0, 1] -> `TeacherView`. Always in eval mode: DINOv3 randomises its rotary
    embedding in training.
    """

    network: Any
    image_size: int
    patch_size: int
    num_layers: int
    num_heads: int

    def __init__(self, layers: Sequence[int]) -> None:
        super().__init__()
        self.layers = tuple(layers)
        self.normalise = Normalise(*IMAGENET)

    def train(self, mode: bool = True) -> "TopologyTeacher":
        return super().train(False)

    @property
    def words(self) -> str:
        """What it is called in tables."""
        return type(self.network).__name__.removesuffix("ViTModel").removesuffix("Model")

    @property
    @abstractmethod
    def num_prefix_tokens(self) -> int:
        """Tokens that stand before the patches: class and registers."""

    @abstractmethod
    def attention_of(self, layer: int) -> nn.Module:
        """The module of a layer that attends, once."""

    @abstractmethod
    def tokens(self, pixels: Tensor) -> Tokens:
        """Normalised pixels -> all tokens of the last layer."""

    def query_keys_and_tokens(self, pixels: Tensor) -> tuple[list[QueryKeys], Tokens]:
        """Normalised pixels -> the chosen layers over all tokens, and `tokens`."""
        distinct = sorted(set(self.layers))
        chosen = [self.attention_of(layer) for layer in distinct]
        with captured_attention(self.network, chosen) as found:
            tokens = self.tokens(pixels)
        by_layer = dict(zip(distinct, found, strict=True))
        return [by_layer[layer] for layer in self.layers], tokens

    def forward(self, images: Images) -> TeacherView:
        layers, tokens = self.query_keys_and_tokens(self.prepare(images))
        prefix, side = self.num_prefix_tokens, self.image_size // self.patch_size
        return TeacherView(
            tuple(each.without_prefix(prefix) for each in layers), tokens[:, prefix:], (side, side)
        )

    def features(self, images: Images) -> Tokens:
        """What `forward` calls features, and nothing else."""
        return self.tokens(self.prepare(images))[:, self.num_prefix_tokens :]

    def prepare(self, images: Images) -> Float[Tensor, "batch 3 network_height network_width"]:
        """Images in [0, 1] at the teacher's size, normalised."""
        size = (self.image_size, self.image_size)
        # In float32, as there is no antialiasing in bfloat16 on CPUs.
        if images.shape[-2:] != size:
            images = F.interpolate(
                images.float(), size, mode="bilinear", antialias=True, align_corners=False
            )
        return self.normalise(images)

    def check_layers(self) -> None:
        """Raises MuseError where a chosen layer is not one of the teacher's."""
        wrong = [layer for layer in self.layers if not 0 <= layer < self.num_layers]
        if wrong:
            raise MuseError(
                f"The teacher has layers 0..{self.num_layers - 1}, but layer {wrong[0]} was "
                "chosen: mend teacher_layers."
            )


def spread_layers(num_layers: int, count: int) -> tuple[int, ...]:
    """``count`` layers spread evenly over the depth, the last one included: 12 layers, 6 blocks ->
    1, 3, 5, 7, 9, 11.
    """
    if num_layers < count:
        raise MuseError(
            f"The teacher has {num_layers} layers, fewer than the {count} student blocks: "
            "name some with `-p overrides foundations.teacher_layers=0,0,1,...` (repeats are "
            "allowed), or use fewer blocks, connector.num_blocks."
        )
    return tuple(round((block + 1) * num_layers / count) - 1 for block in range(count))


class DinoV3Teacher(TopologyTeacher):
    """transformers' `DINOv3ViTModel`, or its DINOv2, with registers or without."""

    def __init__(self, network: PreTrainedModel, layers: Sequence[int], image_size: int) -> None:
        super().__init__(layers)
        config: Any = network.config
        self.network, self.image_size, self.patch_size = network, image_size, config.patch_size
        self.num_layers, self.num_heads = config.num_hidden_layers, config.num_attention_heads
        self.check_layers()
        self.eval()

    @classmethod
    def from_pretrained(
        cls,
        location: str | Path,
        layers: Sequence[int] | None = None,
        blocks: int = 6,
        image_size: int | None = None,
    ) -> "DinoV3Teacher":
        """From a folder or hub id.

        Args:
            location: A folder, or a hub id OWNER/NAME.
            layers: Whose attention is the target, counted from 0; by default ``blocks`` of them
                spread over the depth.
            blocks: How many layers to choose.
            image_size: Pixels along a side at which the teacher looks; its own by default.

        Raises:
            MuseError: For a missing or damaged checkpoint, and a layer that it does not have.
        """
        folder = open_part(TEACHER, location)
        network, _ = load_complete(
            AutoModel.from_pretrained,
            TEACHER.name,
            str(folder),
            attn_implementation="sdpa",
            dtype=torch.float32,
            trust_remote_code=False,
        )
        layers = (
            spread_layers(network.config.num_hidden_layers, blocks) if layers is None else layers
        )
        return cls(network, layers, image_size or network.config.image_size)

    @classmethod
    def from_config(cls, config, layers: Sequence[int]) -> "DinoV3Teacher":
        """Random weights, for tests and for training a stand-in."""
        network = DINOv3ViTModel._from_config(copy.deepcopy(config), attn_implementation="sdpa")
        return cls(network, layers, config.image_size)

    def attention_of(self, layer: int) -> nn.Module:
        return TransformersVit().layers(self.network)[layer]

    def tokens(self, pixels: Tensor) -> Tokens:
        return self.network(pixels).last_hidden_state

    @property
    def num_prefix_tokens(self) -> int:
        return 1 + getattr(self.network.config, "num_register_tokens", 0)


class TimmTeacher(TopologyTeacher):
    """Any timm ViT or DINOv3 (`Eva`) by name; fused attention is on in the chosen layers."""

    def __init__(
        self,
        name: str,
        network: Any,
        layers: Sequence[int] | None,
        blocks: int,
        image_size: int | None,
    ) -> None:
        if not hasattr(network, "blocks") or not hasattr(network.blocks[0], "attn"):
            raise MuseError(
                f"{name} has no transformer blocks with attention: choose a ViT as teacher."
            )
        super().__init__(spread_layers(len(network.blocks), blocks) if layers is None else layers)
        patches = network.patch_embed
        self.network, self.image_size = network, image_size or patches.img_size[0]
        self.patch_size = patches.patch_size[0]
        self.num_layers, self.num_heads = len(network.blocks), network.blocks[0].attn.num_heads
        self.check_layers()
        for layer in self.layers:
            network.blocks[layer].attn.fused_attn = True
        self.eval()

    @classmethod
    def from_name(
        cls,
        name: str,
        layers: Sequence[int] | None = None,
        blocks: int = 6,
        image_size: int | None = None,
        pretrained: bool = True,
        **options,
    ) -> "TimmTeacher":
        """By its name in timm, with ``options`` for `timm.create_model`.

        Args:
            name: For example ``vit_small_patch16_dinov3``.
            layers: As in `DinoV3Teacher.from_pretrained`, like ``blocks`` and ``image_size``.
            pretrained: Whether timm's weights are loaded.

        Raises:
            MuseError: For an unknown name, for a network that is no ViT, and for weights that
                cannot be had.
        """
        if image_size is not None:
            options["img_size"] = image_size
        network = timm_by_name(TEACHER, name, pretrained, **options)
        return cls(name, network, layers, blocks, image_size)

    @classmethod
    def from_folder(
        cls,
        folder: Path,
        layers: Sequence[int] | None = None,
        blocks: int = 6,
        image_size: int | None = None,
    ) -> "TimmTeacher":
        """From what timm's own ``save_for_hf`` leaves: config.json and model.safetensors.

        Args:
            folder: Holds both.
            layers: As in `DinoV3Teacher.from_pretrained`, like ``blocks`` and ``image_size``.

        Raises:
            MuseError: For a damaged folder, other weights than its network's, one that is no ViT,
                and images that are normalised in another way than ImageNet's.
        """
        name, sizes, colours = described_by_timm(TEACHER, folder)
        check_normalisation(TEACHER, folder / "config.json", colours)
        network = timm_from_folder(TEACHER, folder, name, sizes)
        if image_size:
            network.set_input_size(img_size=image_size)
        return cls(name, network, layers, blocks, image_size)

    def attention_of(self, layer: int) -> nn.Module:
        return self.network.blocks[layer].attn

    def tokens(self, pixels: Tensor) -> Tokens:
        return self.network.forward_features(pixels)

    @property
    def num_prefix_tokens(self) -> int:
        return self.network.num_prefix_tokens


def observe(teacher: TopologyTeacher, images: Images) -> TeacherView:
    """The frozen teacher's view, without gradient.

    Args:
        teacher: A DINOv3, or any timm ViT.
        images: (batch, 3, height, width) in [0, 1], resized to the teacher's size.
    """
    with torch.no_grad():
        return teacher(images)
