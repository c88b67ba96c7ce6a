"""Tiny checkpoints in the layouts of the published ones: file names, shards with an index, keys,
processor files.
"""

import json
from pathlib import Path
from typing import Any

import timm
import torch
from diffusers import AutoencoderDC
from safetensors.torch import save_file
from torch import Tensor
from transformers import (
    CLIPConfig,
    CLIPModel,
    DINOv3ViTConfig,
    DINOv3ViTModel,
    SiglipConfig,
    SiglipModel,
)

from muse_core.data.scenes import Scenes
from muse_core.foundations.backbone import Backbone
from scripts.tiny_foundations.image_text import train_tokenizer

IMAGENET_PROCESSOR = {
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "do_resize": True,
}
VISION = dict(
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=64,
    image_size=448,
    patch_size=14,
    hidden_act="gelu",
    layer_norm_eps=1e-6,
    norm_type="layer_norm",
)
LAYERS, WIDTH, MLP, PATCH, POSITIONS = 2, 32, 64, 14, 1 + 32 * 32


def write_json(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content))


def write_shards(
    folder: Path, weights: dict[str, Tensor], count: int = 2, stem: str = "model"
) -> None:
    """Every ``count``-th weight in the same shard, so that each of them holds a part of the vision
    tower.
    """
    names, weight_map = list(weights), {}
    for shard in range(count):
        file = f"{stem}-{shard + 1:05d}-of-{count:05d}.safetensors"
        own = {name: weights[name].contiguous() for name in names[shard::count]}
        save_file(own, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(own, file)
    write_json(
        folder / f"{stem}.safetensors.index.json",
        {"metadata": {"total_size": 1}, "weight_map": weight_map},
    )


def language_model(prefix: str) -> dict[str, Tensor]:
    """What else lies in an InternVL3 checkpoint, of a shape that nobody should read."""
    return {f"{prefix}layers.{layer}.mlp.up_proj.weight": torch.zeros(3, 5) for layer in range(4)}


def write_internvl_hf(folder: Path, prefix: str = "vision_tower.", **vision: Any) -> Backbone:
    """OpenGVLab/InternVL3-1B-hf: transformers' layout, bfloat16. Returns the tower that was
    written, in float32.
    """
    folder.mkdir(parents=True, exist_ok=True)
    backbone = Backbone(VISION | {"attention_bias": True})
    spread(backbone)
    backbone.network.to(torch.bfloat16).to(torch.float32)
    weights = {
        prefix + name: value.to(torch.bfloat16)
        for name, value in backbone.network.state_dict().items()
    }
    weights |= language_model("language_model.model.") | {
        "multi_modal_projector.linear_1.bias": torch.zeros(7)
    }
    write_shards(folder, weights)
    config = (
        VISION | {"attention_bias": True, "image_size": [448, 448], "patch_size": [14, 14]} | vision
    )
    config |= {
        "model_type": "internvl_vision",
        "use_mean_pooling": True,
        "layer_scale_init_value": 0.1,
    }
    write_json(
        folder / "config.json",
        {
            "architectures": ["InternVLForConditionalGeneration"],
            "model_type": "internvl",
            "vision_config": config,
            "text_config": {"model_type": "qwen2"},
            "dtype": "bfloat16",
        },
    )
    write_json(folder / "preprocessor_config.json", IMAGENET_PROCESSOR)
    return backbone


def original_vision_weights() -> dict[str, Tensor]:
    """The keys of the original InternViT, with random values."""
    weights = {
        "embeddings.class_embedding": torch.randn(1, 1, WIDTH),
        "embeddings.patch_embedding.weight": torch.randn(WIDTH, 3, PATCH, PATCH) * 0.05,
        "embeddings.patch_embedding.bias": torch.randn(WIDTH),
        "embeddings.position_embedding": torch.randn(1, POSITIONS, WIDTH),
    }
    for layer in range(LAYERS):
        for name, shape in {
            "attn.qkv.weight": (3 * WIDTH, WIDTH),
            "attn.qkv.bias": (3 * WIDTH,),
            "attn.proj.weight": (WIDTH, WIDTH),
            "attn.proj.bias": (WIDTH,),
            "norm1.weight": (WIDTH,),
            "norm1.bias": (WIDTH,),
            "norm2.weight": (WIDTH,),
            "norm2.bias": (WIDTH,),
            "ls1": (WIDTH,),
            "ls2": (WIDTH,),
            "mlp.fc1.weight": (MLP, WIDTH),
            "mlp.fc1.bias": (MLP,),
            "mlp.fc2.weight": (WIDTH, MLP),
            "mlp.fc2.bias": (WIDTH,),
        }.items():
            weights[f"encoder.layers.{layer}.{name}"] = torch.randn(shape) * 0.3
    return weights


def write_internvl_original(
    folder: Path, prefix: str = "vision_model.", **vision: Any
) -> dict[str, Tensor]:
    """OpenGVLab/InternVL3-1B: the layout whose model class comes with the checkpoint. Returns the
    vision weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tower = original_vision_weights()
    weights = {prefix + name: value for name, value in tower.items()}
    if prefix:
        weights |= language_model("language_model.model.") | {"mlp1.1.weight": torch.zeros(7, 7)}
    write_shards(folder, weights)
    config = VISION | {
        "architectures": ["InternVisionModel"],
        "model_type": "intern_vit_6b",
        "qkv_bias": True,
        "dropout": 0.0,
        "qk_normalization": False,
        "initializer_factor": 1.0,
        "drop_path_rate": 0.1,
        "use_flash_attn": True,
        "attention_dropout": 0.0,
        "num_channels": 3,
    }
    code = {"AutoModel": "modeling_internvl_chat.InternVLChatModel"}
    chat = {
        "architectures": ["InternVLChatModel"],
        "auto_map": code,
        "model_type": "internvl_chat",
        "select_layer": -1,
    }
    write_json(
        folder / "config.json",
        (chat | {"vision_config": config | vision}) if prefix else config | vision,
    )
    (folder / "modeling_internvl_chat.py").write_text('raise AssertionError("remote code was run")')
    write_json(
        folder / "preprocessor_config.json",
        IMAGENET_PROCESSOR | {"feature_extractor_type": "CLIPFeatureExtractor"},
    )
    return tower


def write_dinov3(folder: Path, **options: Any) -> DINOv3ViTModel:
    """facebook/dinov3-vitl16-pretrain-lvd1689m, with eight heads."""
    config = dict(
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=6,
        num_attention_heads=8,
        num_register_tokens=4,
        image_size=224,
        patch_size=16,
    )
    network = DINOv3ViTModel(DINOv3ViTConfig(**config | options)).eval()
    network.save_pretrained(folder, max_shard_size="200KB")
    write_json(
        folder / "preprocessor_config.json",
        IMAGENET_PROCESSOR | {"image_processor_type": "DINOv3ViTImageProcessorFast"},
    )
    return network


def write_autoencoder(folder: Path) -> AutoencoderDC:
    """mit-han-lab/dc-ae-f32c32-sana-1.1-diffusers with narrow blocks: 32 pixels and 32 channels a
    latent position.
    """
    widths = (8, 8, 16, 16, 32, 32)
    scales = ((), (), (), (5,), (5,), (5,))
    autoencoder = AutoencoderDC(
        latent_channels=32,
        attention_head_dim=8,
        encoder_block_types=("ResBlock",) * 3 + ("EfficientViTBlock",) * 3,
        decoder_block_types=("ResBlock",) * 3 + ("EfficientViTBlock",) * 3,
        encoder_block_out_channels=widths,
        decoder_block_out_channels=widths,
        encoder_layers_per_block=(1,) * 6,
        decoder_layers_per_block=(1,) * 6,
        encoder_qkv_multiscales=scales,
        decoder_qkv_multiscales=scales,
        upsample_block_type="interpolate",
        downsample_block_type="conv",
        scaling_factor=0.41407,
    ).eval()
    autoencoder.save_pretrained(folder, max_shard_size="100KB")
    return autoencoder


def write_clip(folder: Path) -> CLIPModel:
    """laion/CLIP-ViT-L-14-laion2B-s32B-b82K: the whole CLIP; the width of the common space stands
    at the top alone.
    """
    words = train_tokenizer(list(Scenes("train", 32).first(64).captions))
    text = dict(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=77,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=3,
        hidden_act="gelu",
    )
    vision = dict(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
    )
    clip = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)).eval()
    clip.save_pretrained(folder, max_shard_size="50KB")
    words.save_pretrained(folder)
    return clip


def write_siglip(folder: Path, **vision: Any) -> SiglipModel:
    """google/siglip2-base-patch16-256: a whole SigLIP, whose images are normalised to [-1, 1]."""
    sizes = dict(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=64,
        patch_size=16,
    )
    text = dict(sizes, vocab_size=40, max_position_embeddings=8, projection_size=32)
    whole = SiglipModel(SiglipConfig(vision_config=sizes | vision, text_config=text)).eval()
    spread(whole)
    whole.save_pretrained(folder, max_shard_size="50KB")
    write_json(
        folder / "preprocessor_config.json", {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    )
    return whole


def write_timm(folder: Path, name: str, **sizes: Any) -> torch.nn.Module:
    """As timm's ``save_for_hf`` leaves a network, with random weights."""
    folder.mkdir(parents=True, exist_ok=True)
    network = timm.create_model(name, num_classes=0, **sizes).eval()
    save_file(network.state_dict(), folder / "model.safetensors")
    colours = {key: list(network.pretrained_cfg[key]) for key in ("mean", "std")}
    said = {"architecture": name, "num_classes": 0, "model_args": sizes, "pretrained_cfg": colours}
    write_json(folder / "config.json", said)
    return network


def write_small(folder: Path) -> dict[str, str]:
    """The four of muse-small; notebook parameter -> folder."""
    write_siglip(folder / "backbone")
    dino = dict(img_size=56, depth=6, embed_dim=48, num_heads=6)
    write_timm(folder / "teacher", "vit_small_patch14_reg4_dinov2", **dino)
    write_autoencoder(folder / "autoencoder")
    write_clip(folder / "text_tower")
    return {
        part: str(folder / part) for part in ("backbone", "teacher", "autoencoder", "text_tower")
    }


def write_all(folder: Path) -> dict[str, str]:
    """All four; notebook parameter -> folder."""
    write_internvl_original(folder / "backbone")
    write_dinov3(folder / "teacher")
    write_autoencoder(folder / "autoencoder")
    write_clip(folder / "text_tower")
    return {
        part: str(folder / part) for part in ("backbone", "teacher", "autoencoder", "text_tower")
    }


@torch.no_grad()
def spread(network: torch.nn.Module) -> None:
    """Random values in every weight, those that start at zero or one included."""
    for weight in network.parameters():
        weight.copy_(torch.randn_like(weight) * 0.3)
