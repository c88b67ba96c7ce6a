"""InternVL3's two published layouts, and a bare vision tower, as one: configuration and weights of
`InternVLVisionModel`.

transformers' own layout keeps the tower under ``vision_tower.``; the original one, made for code
that comes with the checkpoint (never run here), keeps it under ``vision_model.`` with other names
and one fused matrix for query, key and value."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

from muse_core.foundations.loading import reading
from muse_core.foundations.parts import BACKBONE, read_config, weight_files

CONFIG_KEYS = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "image_size",
    "patch_size",
    "attention_bias",
    "use_qk_norm",
    "layer_scale_init_value",
    "layer_norm_eps",
    "norm_type",
    "use_mean_pooling",
    "hidden_act",
)
"""What of an `InternVLVisionConfig` shapes the network."""

ORIGINAL_CONFIG_KEYS = {
    "qkv_bias": "attention_bias",
    "qk_normalization": "use_qk_norm",
    "initializer_factor": "layer_scale_init_value",
}
ORIGINAL_NAMES = (
    ("embeddings.class_embedding", "embeddings.cls_token"),
    ("embeddings.patch_embedding.", "embeddings.patch_embeddings.projection."),
    ("embeddings.position_embedding", "embeddings.position_embeddings"),
    ("encoder.layers.", "encoder.layer."),
    (".attn.proj.", ".attention.projection_layer."),
    (".attn.q_norm.", ".attention.q_norm."),
    (".attn.k_norm.", ".attention.k_norm."),
    (".norm1.", ".layernorm_before."),
    (".norm2.", ".layernorm_after."),
    (".ls1", ".lambda_1"),
    (".ls2", ".lambda_2"),
)
FUSED = re.compile(r"\.attn\.qkv\.")


@dataclass(frozen=True)
class Layout:
    """``prefix``: pattern of what stands before a name of the tower; ``rename``: a weight under its
    name here.
    """

    prefix: re.Pattern[str]
    config: Callable[[dict[str, Any]], dict[str, Any]]
    rename: Callable[[str, Tensor], Iterator[tuple[str, Tensor]]]


def vision_tower(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Configuration and weights of the vision tower in a checkpoint's folder; nothing of the
    language model is read.

    Raises MuseError where a file is missing or damaged.
    """
    config = read_config(BACKBONE, folder)
    layout = LAYOUTS[config["model_type"]]
    weights: dict[str, Tensor] = {}
    for file in weight_files(BACKBONE, folder):
        with reading("backbone", str(file)), safe_open(file, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118 (not a mapping)
                if found := layout.prefix.match(name):
                    weights |= dict(layout.rename(name[found.end() :], opened.get_tensor(name)))
    described = layout.config(config.get("vision_config") or config)
    return {key: value for key, value in described.items() if key in CONFIG_KEYS}, weights


def _biased(config: dict[str, Any]) -> dict[str, Any]:
    """Every InternViT of InternVL3 has biases; transformers' default says otherwise."""
    return {"attention_bias": True} | config


def _original_config(config: dict[str, Any]) -> dict[str, Any]:
    renamed = {ORIGINAL_CONFIG_KEYS.get(key, key): value for key, value in config.items()}
    return _biased(renamed) | {"use_mean_pooling": True}  # the original has no final norm either


def _as_it_is(name: str, weight: Tensor) -> Iterator[tuple[str, Tensor]]:
    yield name, weight


def _original_weight(name: str, weight: Tensor) -> Iterator[tuple[str, Tensor]]:
    if FUSED.search(name):
        for projection, part in zip("qkv", weight.chunk(3), strict=True):
            yield _renamed(FUSED.sub(f".attention.{projection}_proj.", name)), part
    else:
        yield _renamed(name), weight


def _renamed(name: str) -> str:
    for original, own in ORIGINAL_NAMES:
        name = name.replace(original, own)
    return name


_ORIGINAL = Layout(re.compile(r"vision_model\."), _original_config, _original_weight)
LAYOUTS = {
    "internvl": Layout(re.compile(r"(model\.)?vision_tower\."), _biased, _as_it_is),
    "internvl_chat": _ORIGINAL,
    "intern_vit_6b": Layout(re.compile(""), _original_config, _original_weight),
    "internvl_vision": Layout(re.compile(""), dict, _as_it_is),
}
"""``model_type`` of config.json -> how the tower lies in the checkpoint."""
