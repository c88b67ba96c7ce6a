"""Published checkpoints load through the same code as the tiny ones, weight for weight."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from muse_core.foundations.backbone import Backbone
from muse_core.foundations.pixel_decoder import load_autoencoder
from muse_core.foundations.text_tower import TextTower, text_config
from muse_core.foundations.topology_teacher import DinoV3Teacher, observe

from ...published_layouts import (
    LAYERS,
    PATCH,
    WIDTH,
    write_autoencoder,
    write_clip,
    write_dinov3,
    write_internvl_hf,
    write_internvl_original,
)

HEADS = 2


def original_forward(weights: dict[str, Tensor], pixels: Tensor) -> Tensor:
    """InternViT as published: pre-norm blocks with layer scale, fused query, key and value, and no
    norm at the end.
    """
    patches = F.conv2d(
        pixels,
        weights["embeddings.patch_embedding.weight"],
        weights["embeddings.patch_embedding.bias"],
        stride=PATCH,
    )
    rows, columns = patches.shape[-2:]
    position = weights["embeddings.position_embedding"]
    table = position[:, 1:].reshape(1, 32, 32, WIDTH).permute(0, 3, 1, 2)
    table = (
        F.interpolate(table, (rows, columns), mode="bicubic", align_corners=False)
        .flatten(2)
        .transpose(1, 2)
    )
    tokens = torch.cat(
        [weights["embeddings.class_embedding"].expand(len(pixels), -1, -1), patches.flatten(2).mT],
        1,
    )
    tokens = tokens + torch.cat([position[:, :1], table], 1)
    for layer in range(LAYERS):
        own = {
            name.removeprefix(f"encoder.layers.{layer}."): value
            for name, value in weights.items()
            if name.startswith(f"encoder.layers.{layer}.")
        }
        normed = F.layer_norm(tokens, (WIDTH,), own["norm1.weight"], own["norm1.bias"], 1e-6)
        fused = F.linear(normed, own["attn.qkv.weight"], own["attn.qkv.bias"])
        batch, count, _ = tokens.shape
        query, key, value = fused.reshape(batch, count, 3, HEADS, WIDTH // HEADS).permute(
            2, 0, 3, 1, 4
        )
        attention = ((query * (WIDTH // HEADS) ** -0.5) @ key.mT).softmax(-1)
        heard = (attention @ value).transpose(1, 2).reshape(batch, count, WIDTH)
        tokens = (
            tokens + F.linear(heard, own["attn.proj.weight"], own["attn.proj.bias"]) * own["ls1"]
        )
        normed = F.layer_norm(tokens, (WIDTH,), own["norm2.weight"], own["norm2.bias"], 1e-6)
        hidden = F.gelu(F.linear(normed, own["mlp.fc1.weight"], own["mlp.fc1.bias"]))
        tokens = tokens + F.linear(hidden, own["mlp.fc2.weight"], own["mlp.fc2.bias"]) * own["ls2"]
    return tokens


@torch.no_grad()
@pytest.mark.parametrize("prefix", ["vision_model.", ""])
@pytest.mark.parametrize("size", [56, 448])
def test_the_original_internvl_layout_computes_what_the_original_computes(
    tmp_path: Path, prefix: str, size: int
) -> None:
    weights = write_internvl_original(tmp_path, prefix)
    backbone, images = Backbone.from_pretrained(tmp_path).eval(), torch.rand(2, 3, size, size)
    expected = original_forward(weights, backbone.normalise(images))
    torch.testing.assert_close(backbone.all_tokens(images), expected, rtol=1e-4, atol=1e-4)
    assert backbone.network.config.attention_bias is True


@torch.no_grad()
@pytest.mark.parametrize("prefix", ["vision_tower.", "model.vision_tower."])
def test_transformers_internvl_layout_gives_its_vision_tower_in_float32(
    tmp_path: Path, prefix: str
) -> None:
    written, images = write_internvl_hf(tmp_path, prefix).eval(), torch.rand(1, 3, 56, 56)
    backbone = Backbone.from_pretrained(tmp_path).eval()
    assert torch.equal(backbone.all_tokens(images), written.all_tokens(images))
    assert next(backbone.parameters()).dtype == torch.float32
    rebuilt = Backbone(backbone.describe()).eval()
    rebuilt.load_state_dict(backbone.state_dict())
    assert torch.equal(rebuilt(images), backbone(images))


def test_the_language_model_is_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from muse_core.foundations import internvl_layouts

    write_internvl_hf(tmp_path)
    read, real = [], internvl_layouts.safe_open

    class Watched:
        def __init__(self, *given, **options) -> None:
            self.file = real(*given, **options)

        def __enter__(self) -> "Watched":
            self.file.__enter__()
            return self

        def __exit__(self, *error) -> None:
            self.file.__exit__(*error)

        def keys(self) -> list[str]:
            return list(self.file.keys())

        def get_tensor(self, name: str) -> Tensor:
            read.append(name)
            return self.file.get_tensor(name)

    monkeypatch.setattr(internvl_layouts, "safe_open", Watched)
    Backbone.from_pretrained(tmp_path)
    assert len(read) > 20 and all(name.startswith("vision_tower.") for name in read)


def test_a_sharded_dinov3_is_read_whole(tmp_path: Path) -> None:
    written = write_dinov3(tmp_path)
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    teacher = DinoV3Teacher.from_pretrained(tmp_path, blocks=3)
    assert (
        teacher.image_size == 224 and teacher.layers == (1, 3, 5) and teacher.num_prefix_tokens == 5
    )
    assert all(
        torch.equal(teacher.network.state_dict()[name], value)
        for name, value in written.state_dict().items()
    )
    assert observe(teacher, torch.rand(1, 3, 224, 224)).attention[0].shape == (1, 8, 196, 196)


def test_bfloat16_teachers_and_text_towers_become_float32(tmp_path: Path) -> None:
    write_dinov3(tmp_path / "first").to(torch.bfloat16).save_pretrained(tmp_path / "teacher")
    write_clip(tmp_path / "text").to(torch.float16).save_pretrained(tmp_path / "text")
    assert DinoV3Teacher.from_pretrained(tmp_path / "teacher").network.dtype == torch.float32
    assert TextTower.from_pretrained(tmp_path / "text").network.dtype == torch.float32


@torch.no_grad()
def test_a_sharded_autoencoder_is_read_whole(tmp_path: Path) -> None:
    written, images = write_autoencoder(tmp_path), torch.rand(1, 3, 64, 64)
    assert len(list(tmp_path.glob("diffusion_pytorch_model-*.safetensors"))) > 1
    assert torch.equal(
        load_autoencoder(tmp_path).encode(images).latent, written.encode(images).latent
    )


@torch.no_grad()
def test_the_text_tower_of_a_whole_clip_is_its_text_half(tmp_path: Path) -> None:
    clip, captions = write_clip(tmp_path), ["a red star", "two circles"]
    tower = TextTower.from_pretrained(tmp_path).eval()
    tokens = tower.tokenizer(captions, padding=True, return_tensors="pt")
    inputs = {name: tokens[name] for name in ("input_ids", "attention_mask")}
    expected = clip.text_projection(clip.text_model(**inputs).pooler_output)
    torch.testing.assert_close(tower(captions), expected)
    assert tower.width == text_config(tmp_path).projection_dim == 24
