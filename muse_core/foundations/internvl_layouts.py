"""InternVL3's two published layouts, and a bare vision tower, as one: configuration and weights of
`InternVLVisionModel`.

transformers' own layout keeps the tower under ``vision_tower.``; the original one, made for code
that comes with the checkpoint (never run here), keeps it under ``vision_model.`` with other names
and one fused matrix for query, key and value."""

import re
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

PREFIXES = {
    "internvl": r"(model\.)?vision_tower\.",
    "internvl_chat": r"vision_model\.",
    "intern_vit_6b": "",
    "internvl_vision": "",
}
"""``model_type`` of config.json -> pattern of what stands before a weight of the tower."""

ORIGINAL_LAYOUT = ("internvl_chat", "intern_vit_6b")
ORIGINAL_CONFIG_KEYS = {
    "qkv_bias": "attention_bias",
    "qk_normalization": "use_qk_norm",
    "initializer_factor": "layer_scale_init_value",
}
ORIGINAL_NAMES = {
    "embeddings.class_embedding": "embeddings.cls_token",
    "embeddings.patch_embedding.": "embeddings.patch_embeddings.projection.",
    "embeddings.position_embedding": "embeddings.position_embeddings",
    "encoder.layers.": "encoder.layer.",
    ".attn.": ".attention.",
    ".attention.proj.": ".attention.projection_layer.",
    ".norm1.": ".layernorm_before.",
    ".norm2.": ".layernorm_after.",
    ".ls1": ".lambda_1",
    ".ls2": ".lambda_2",
}
"""Parts of a name -> the part here, one after the other."""


def vision_tower(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Configuration and weights of the vision tower in a checkpoint's folder; nothing of the
    language model is read.

    Raises:
        MuseError: Where a file is missing or damaged.
    """
    config = read_config(BACKBONE, folder)
    kind = config["model_type"]
    original = kind in ORIGINAL_LAYOUT
    weights: dict[str, Tensor] = {}
    for file in weight_files(BACKBONE, folder):
        with reading("backbone", str(file)), safe_open(file, framework="pt") as opened:
            names: list[str] = list(opened.keys())
            for name in names:
                if found := re.match(PREFIXES[kind], name):
                    own, weight = name[found.end() :], opened.get_tensor(name)
                    weights |= _original_weight(own, weight) if original else {own: weight}
    described: dict[str, Any] = config.get("vision_config") or config
    if original:
        described = {ORIGINAL_CONFIG_KEYS.get(key, key): each for key, each in described.items()}
        # The original has no final norm either.
        described["use_mean_pooling"] = True
    if kind != "internvl_vision":
        # Every InternViT of InternVL3 has biases; transformers' default says otherwise.
        described = {"attention_bias": True} | described
    return {key: value for key, value in described.items() if key in CONFIG_KEYS}, weights


def original_name(name: str) -> str:
    """The original layout's name of a weight of `InternVLVisionModel`; one for query, key and
    value.
    """
    for original, own in reversed(ORIGINAL_NAMES.items()):
        name = name.replace(own, original)
    return re.sub(r"\.attn\.[qkv]_proj\.", ".attn.qkv.", name)


def _original_weight(name: str, weight: Tensor) -> dict[str, Tensor]:
    for original, own in ORIGINAL_NAMES.items():
        name = name.replace(original, own)
    if ".attention.qkv." not in name:
        return {name: weight}
    parts = zip("qkv", weight.chunk(3), strict=True)
    return {name.replace("qkv", f"{each}_proj"): part for each, part in parts}
