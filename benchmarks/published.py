"""The published full-size parts by their configuration alone, to be built without weights: for
counting and for planning.
"""

from typing import Any

INTERNVIT: dict[str, Any] = dict(
    hidden_size=1024,
    num_hidden_layers=24,
    num_attention_heads=16,
    intermediate_size=4096,
    image_size=448,
    patch_size=14,
    attention_bias=True,
)
SIGLIP2: dict[str, Any] = dict(
    model_type="siglip_vision_model",
    hidden_size=768,
    intermediate_size=3072,
    num_hidden_layers=12,
    num_attention_heads=12,
    image_size=256,
    patch_size=16,
    vision_use_head=False,
    image_mean=[0.5] * 3,
    image_std=[0.5] * 3,
)
BACKBONES = {"muse-small": SIGLIP2, "muse-1b": INTERNVIT, "muse-3b": INTERNVIT}
_SCALES = ((), (), (), (5,), (5,), (5,))
_BLOCKS = ("ResBlock",) * 3 + ("EfficientViTBlock",) * 3
AUTOENCODER: dict[str, Any] = dict(
    latent_channels=32,
    attention_head_dim=32,
    encoder_block_types=_BLOCKS,
    decoder_block_types=_BLOCKS,
    encoder_block_out_channels=(128, 256, 512, 512, 1024, 1024),
    decoder_block_out_channels=(128, 256, 512, 512, 1024, 1024),
    encoder_layers_per_block=(2, 2, 2, 3, 3, 3),
    decoder_layers_per_block=(3,) * 6,
    encoder_qkv_multiscales=_SCALES,
    decoder_qkv_multiscales=_SCALES,
    upsample_block_type="interpolate",
    downsample_block_type="conv",
    scaling_factor=0.41407,
)
_DINOV3 = dict(num_register_tokens=4, image_size=224, patch_size=16)
TEACHERS: dict[str, dict[str, Any]] = {
    "muse-small": _DINOV3
    | dict(
        hidden_size=384,
        num_hidden_layers=12,
        num_attention_heads=6,
        intermediate_size=1536,
        patch_size=14,
    ),
    "muse-1b": dict(
        hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096
    )
    | _DINOV3,
    "muse-3b": dict(
        hidden_size=1280,
        num_hidden_layers=32,
        num_attention_heads=20,
        intermediate_size=5120,
        use_gated_mlp=True,
        hidden_act="silu",
    )
    | _DINOV3,
}
"""DINOv3 ViT-L/16 and ViT-H+/16; for muse-small a DINOv3 of the sizes of DINOv2's ViT-S/14, which
costs the same.
"""
CLIP_TEXT: dict[str, Any] = dict(
    vocab_size=49408,
    hidden_size=768,
    intermediate_size=3072,
    num_hidden_layers=12,
    num_attention_heads=12,
    max_position_embeddings=77,
    projection_dim=768,
    hidden_act="gelu",
)
CLIP_TEXTS = {
    "muse-small": CLIP_TEXT
    | dict(hidden_size=512, intermediate_size=2048, num_attention_heads=8, projection_dim=512),
    "muse-1b": CLIP_TEXT,
    "muse-3b": CLIP_TEXT,
}
"""CLIP-B/32 and CLIP-L/14 of laion2B."""

_QWEN: dict[str, Any] = dict(vocab_size=151_674, rope_theta=1e6, tie_word_embeddings=False)
LANGUAGE_MODELS: dict[str, dict[str, Any]] = {
    "muse-1b": _QWEN
    | dict(
        hidden_size=896,
        num_hidden_layers=24,
        num_attention_heads=14,
        num_key_value_heads=2,
        intermediate_size=4864,
    ),
    "muse-3b": _QWEN
    | dict(
        hidden_size=1536,
        num_hidden_layers=28,
        num_attention_heads=12,
        num_key_value_heads=2,
        intermediate_size=8960,
    ),
}
"""Of InternVL3-1B and 2B."""
