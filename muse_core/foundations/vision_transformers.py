"""Vision transformers of three origins as one: built from a description, asked for all tokens.

InternViT (InternVL3's), any vision model of transformers whose tokens form a grid (SigLIP, CLIP,
DINOv2, ViT, ...), and timm's ViTs. A kind holds no weights; a description is a dictionary of JSON.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from inspect import signature
from typing import Any

from torch import Tensor, nn
from transformers import CONFIG_MAPPING, MODEL_MAPPING, AutoModel, InternVLVisionConfig

from muse_core.foundations.image_normalisation import COLOUR_KEYS
from muse_core.foundations.internvl_layouts import CONFIG_KEYS
from muse_core.shapes import Tokens


class VitKind(ABC):
    """How networks of one origin are built and read."""

    @abstractmethod
    def build(self, config: Mapping[str, Any]) -> nn.Module:
        """Random weights."""

    @abstractmethod
    def describe(self, network: Any) -> dict[str, Any]:
        """What `build` makes the same network from."""

    @abstractmethod
    def tokens(self, network: Any, pixels: Tensor) -> Tokens:
        """Normalised pixels -> every token of the last layer."""

    @abstractmethod
    def layers(self, network: Any) -> list[nn.Module]:
        """The transformer's layers in order, each of which attends once."""

    @abstractmethod
    def prefixes(self, network: Any) -> set[int]:
        """How many tokens may stand before the patches: class, distillation, registers."""

    @abstractmethod
    def sizes(self, network: Any) -> tuple[int, int]:
        """(channels of a token, pixels along a patch's side)."""


class TransformersVit(VitKind):
    """A vision model of transformers, by its ``model_type``; without a pooling head."""

    def build(self, config: Mapping[str, Any]) -> nn.Module:
        own = {key: value for key, value in config.items() if key not in COLOUR_KEYS}
        vision = CONFIG_MAPPING[config["model_type"]](**copy.deepcopy(own))
        return AutoModel.from_config(
            vision, attn_implementation="sdpa", **without_pooler(type(vision))
        )

    def describe(self, network: Any) -> dict[str, Any]:
        said = network.config.to_diff_dict()
        left_out = ("transformers_version", "dtype", "architectures", "auto_map")
        return {key: said[key] for key in said if key not in left_out and key[0] != "_"}

    def tokens(self, network: Any, pixels: Tensor) -> Tokens:
        return network(pixels, **any_size(type(network))).last_hidden_state

    def layers(self, network: Any) -> list[nn.Module]:
        count = network.config.num_hidden_layers
        lists = (each for each in network.modules() if isinstance(each, nn.ModuleList))
        return next((list(each) for each in lists if len(each) == count), [])

    def prefixes(self, network: Any) -> set[int]:
        return {0, 1, 2, 1 + getattr(network.config, "num_register_tokens", 0)}

    def sizes(self, network: Any) -> tuple[int, int]:
        return network.config.hidden_size, side(network.config.patch_size)


class InternVit(TransformersVit):
    """InternVL3's tower, described by `CONFIG_KEYS` alone."""

    def build(self, config: Mapping[str, Any]) -> nn.Module:
        vision = InternVLVisionConfig(**copy.deepcopy(dict(config)))
        return AutoModel.from_config(vision, attn_implementation="sdpa")

    def describe(self, network: Any) -> dict[str, Any]:
        return {key: value for key, value in network.config.to_dict().items() if key in CONFIG_KEYS}

    def prefixes(self, network: Any) -> set[int]:
        return {1}


class TimmVit(VitKind):
    """A ViT of timm by its ``architecture`` and ``model_args``, for images of any size."""

    FLEXIBLE: Mapping[str, Any] = {"dynamic_img_size": True, "global_pool": ""}
    """Positions are resized to the images; no pooling head."""

    def build(self, config: Mapping[str, Any]) -> nn.Module:
        import timm

        sizes = dict(config["model_args"])
        options = {**sizes, **self.FLEXIBLE}
        network: Any = timm.create_model(
            config["architecture"], pretrained=False, num_classes=0, **options
        )
        network.described = {"architecture": config["architecture"], "model_args": sizes}
        return network

    def describe(self, network: Any) -> dict[str, Any]:
        return copy.deepcopy(network.described)

    def tokens(self, network: Any, pixels: Tensor) -> Tokens:
        return network.forward_features(pixels)

    def layers(self, network: Any) -> list[nn.Module]:
        return list(network.blocks)

    def prefixes(self, network: Any) -> set[int]:
        return {network.num_prefix_tokens}

    def sizes(self, network: Any) -> tuple[int, int]:
        return network.num_features, side(network.patch_embed.patch_size)


def kind_of(config: Mapping[str, Any]) -> VitKind:
    """By what the description says; InternViT's own says neither."""
    if "architecture" in config:
        return TimmVit()
    return TransformersVit() if "model_type" in config else InternVit()


def vision_config(config: Mapping[str, Any]) -> Any | None:
    """The configuration of the vision transformer in a transformers config.json, of a whole CLIP or
    SigLIP too; None where there is none.
    """
    kind = config.get("model_type")
    known = isinstance(kind, str) and kind in CONFIG_MAPPING
    whole: Any = CONFIG_MAPPING[str(kind)] if known else None
    inner = config.get("vision_config")
    if whole is not None and isinstance(inner, dict):
        whole, config = whole.sub_configs.get("vision_config"), inner
    if whole is None or whole not in MODEL_MAPPING:
        return None
    if not {"patch_size", "image_size"} <= vars(whole()).keys():
        return None
    found = whole(**{key: value for key, value in config.items() if key != "auto_map"})
    if hasattr(found, "vision_use_head"):
        found.vision_use_head = False
    return found


def without_pooler(config_class: type) -> dict[str, Any]:
    """Options of a model that make it leave its pooling layer out: no token comes from it."""
    known = signature(MODEL_MAPPING[config_class].__init__).parameters
    return {"add_pooling_layer": False} if "add_pooling_layer" in known else {}


@cache
def any_size(network_class: type) -> dict[str, Any]:
    """Options of a forward pass that let positions be resized to the images."""
    known = signature(network_class.forward).parameters
    return {"interpolate_pos_encoding": True} if "interpolate_pos_encoding" in known else {}


def side(patch: int | Sequence[int]) -> int:
    """Pixels along a patch's side, written once or for both directions."""
    return patch if isinstance(patch, int) else patch[0]
