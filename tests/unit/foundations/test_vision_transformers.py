"""Backbones of other families: patch tokens as their own library gives them, class token and registers
dropped, images normalised as their checkpoint says; and one sentence where there is no grid.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from transformers import (
    CLIPVisionModel,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    SiglipVisionModel,
    SwinConfig,
    SwinModel,
    ViTConfig,
    ViTForImageClassification,
    YolosConfig,
    YolosModel,
)

from muse_core.errors import MuseError
from muse_core.foundations.backbone import Backbone
from muse_core.foundations.topology_teacher import DinoV3Teacher, observe
from muse_core.models.backbone_routes import check_split
from muse_core.models.gradient_routes import ROUTINGS

from ...published_layouts import (
    IMAGENET_PROCESSOR,
    spread,
    write_clip,
    write_json,
    write_siglip,
    write_timm,
)

SIZES = dict(
    hidden_size=24, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14
)
CLIP_COLOURS = {"image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28]}
Written = tuple[nn.Module, Callable[[nn.Module, Tensor], Tensor]]
"""A network, and its patch tokens of normalised pixels by its own library."""


def resized(dropped: int) -> Callable[[Any, Tensor], Tensor]:
    """Tokens without the first ones, of a network that is asked to resize its positions."""
    return lambda network, pixels: network(pixels, interpolate_pos_encoding=True).last_hidden_state[
        :, dropped:
    ]


def plain(dropped: int) -> Callable[[Any, Tensor], Tensor]:
    return lambda network, pixels: network(pixels).last_hidden_state[:, dropped:]


def siglip(folder: Path) -> Written:
    write_siglip(folder)
    return SiglipVisionModel.from_pretrained(folder, use_safetensors=True), resized(0)


def clip(folder: Path) -> Written:
    write_clip(folder)
    write_json(folder / "preprocessor_config.json", CLIP_COLOURS)
    return CLIPVisionModel.from_pretrained(folder, use_safetensors=True), resized(1)


def saved(network: Any, folder: Path) -> Any:
    spread(network)
    network.save_pretrained(folder)
    write_json(folder / "preprocessor_config.json", IMAGENET_PROCESSOR)
    return network


def dinov2(folder: Path) -> Written:
    return saved(Dinov2Model(Dinov2Config(**SIZES)), folder), plain(1)


def dinov2_with_registers(folder: Path) -> Written:
    config = Dinov2WithRegistersConfig(**SIZES, num_register_tokens=3)
    return saved(Dinov2WithRegistersModel(config), folder), plain(4)


def vit_classifier(folder: Path) -> Written:
    """It has no pooling layer, and a classifier that nobody reads."""
    return saved(ViTForImageClassification(ViTConfig(**SIZES)), folder).vit, resized(1)


def timm_vit(folder: Path) -> Written:
    sizes = dict(img_size=28, depth=2, embed_dim=24, num_heads=2, dynamic_img_size=True)
    network = write_timm(folder, "vit_small_patch14_reg4_dinov2", **sizes)
    return network, lambda network, pixels: network.forward_features(pixels)[:, 5:]


FAMILIES = {
    "siglip": (siglip, ([0.5] * 3, [0.5] * 3)),
    "clip": (clip, tuple(CLIP_COLOURS.values())),
    **{
        made.__name__: (made, (IMAGENET_PROCESSOR["image_mean"], IMAGENET_PROCESSOR["image_std"]))
        for made in (dinov2, dinov2_with_registers, vit_classifier, timm_vit)
    },
}


@torch.no_grad()
@pytest.mark.parametrize("family", FAMILIES)
def test_patch_tokens_are_the_librarys_own(family: str, tmp_path: Path) -> None:
    write, (mean, std) = FAMILIES[family]
    network, patches = write(tmp_path)
    backbone = Backbone.from_pretrained(tmp_path).eval()
    side, layers = backbone.patch_size, len(backbone.layers)
    images = torch.rand(2, 3, 2 * side, 3 * side)
    pixels = (images - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    expected = patches(network.eval(), pixels)
    assert expected.shape == (2, 6, backbone.width)
    torch.testing.assert_close(backbone(images), expected, rtol=1e-4, atol=1e-4)

    described = json.loads(json.dumps(backbone.describe()))
    assert not any(key.startswith("_") or str(tmp_path) in str(described[key]) for key in described)
    rebuilt = Backbone(described).eval()
    rebuilt.load_state_dict(backbone.state_dict())
    assert torch.equal(rebuilt(images), backbone(images))

    maps = backbone.attention(images)
    assert len(maps) == layers > 0 and maps[0].shape[-2:] == (6, 6)
    torch.testing.assert_close(maps[-1].sum(-1), torch.ones_like(maps[-1][..., 0]))


@torch.no_grad()
def test_a_vit_of_timm_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    real, asked = timm.create_model, {}

    def offline(name: str, pretrained: bool, **options: Any) -> Any:
        asked[name] = asked.get(name, False) or pretrained
        return real(name, pretrained=False, **options)

    monkeypatch.setattr(timm, "create_model", offline)
    backbone = Backbone.from_pretrained("timm:test_vit.r160_in1k").eval()
    assert asked == {"test_vit.r160_in1k": True} and backbone.words == "VisionTransformer"
    expected = real("test_vit.r160_in1k", pretrained=False).pretrained_cfg
    assert backbone.describe()["image_mean"] == list(expected["mean"])
    side = backbone.patch_size
    assert backbone(torch.rand(1, 3, 2 * side, 4 * side)).shape == (1, 8, backbone.width)


def test_what_has_no_grid_of_tokens_is_a_sentence(tmp_path: Path) -> None:
    swin = SwinConfig(image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[1, 1])
    yolos = YolosConfig(**SIZES | dict(image_size=[28, 28]), num_detection_tokens=7)
    for name, network in (("swin", SwinModel(swin)), ("yolos", YolosModel(yolos))):
        folder = tmp_path / name
        network.save_pretrained(folder)
        write_json(folder / "preprocessor_config.json", IMAGENET_PROCESSOR)
        with pytest.raises(MuseError, match=r"gives no token a patch .* choose an InternVL3"):
            Backbone.from_pretrained(folder)
    backbone = Backbone(dict(SIZES, model_type="vit")).eval()
    backbone.kind.prefixes = lambda network: {3}
    with pytest.raises(MuseError, match=r"ViTModel gives 5 tokens for 2 x 2 patches"):
        backbone(torch.rand(1, 3, 28, 28))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"model_type": "bert"}, "holds 'bert', not an InternVL3"),
        ({"model_type": "resnet"}, "holds 'resnet', not an InternVL3"),
        ({"model_type": ["vit"]}, r"holds \['vit'\], not an InternVL3"),
        ({}, "holds None, not an InternVL3"),
        ({"architecture": "vit_enormous"}, "timm makes no 'vit_enormous'"),
        ({"architecture": "convnext_tiny"}, "timm makes no 'convnext_tiny'"),
        ({"model_type": "vit", "hidden_size": "wide"}, "cannot be read"),
    ],
)
def test_what_is_no_vision_transformer_is_a_sentence(
    tmp_path: Path, config: dict[str, Any], words: str
) -> None:
    write_siglip(tmp_path)
    write_json(tmp_path / "config.json", config)
    with pytest.raises(MuseError, match=words) as caught:
        Backbone.from_pretrained(tmp_path)
    assert "\n" not in str(caught.value)


def test_colours_are_never_guessed(tmp_path: Path) -> None:
    write_siglip(tmp_path)
    file = tmp_path / "preprocessor_config.json"
    for said in ({}, {"image_mean": [0.5] * 3}, {"image_mean": [0.5] * 2, "image_std": [0.5] * 3}):
        write_json(file, said)
        with pytest.raises(MuseError, match="says how its images are normalised: put its own"):
            Backbone.from_pretrained(tmp_path)


def test_code_that_comes_with_a_checkpoint_is_never_run(tmp_path: Path) -> None:
    write_siglip(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    code = {"auto_map": {"AutoModel": "evil.Model", "AutoConfig": "evil.Config"}}
    config["vision_config"] |= code
    write_json(tmp_path / "config.json", config | code)
    (tmp_path / "evil.py").write_text('raise AssertionError("remote code was run")')
    assert Backbone.from_pretrained(tmp_path).width == 32


def test_only_a_backbone_with_its_own_query_and_key_can_be_split() -> None:
    split = ROUTINGS["trunk-routed"]
    check_split(Backbone(dict(SIZES, model_type="dinov2")), split)
    sizes = dict(img_size=28, depth=1, embed_dim=24, num_heads=2)
    fused = Backbone(dict(architecture="vit_small_patch14_dinov2", model_args=sizes))
    check_split(fused, ROUTINGS["orthogonal"])
    with pytest.raises(MuseError, match="VisionTransformer keeps them in one matrix with W_V"):
        check_split(fused, split)


@pytest.mark.parametrize(("write", "prefix"), [(dinov2, 1), (dinov2_with_registers, 4)])
def test_a_dinov2_of_transformers_teaches(tmp_path: Path, write, prefix: int) -> None:
    network, _ = write(tmp_path)
    teacher = DinoV3Teacher.from_pretrained(tmp_path, blocks=2)
    images = torch.rand(1, 3, 28, 28)
    view = observe(teacher, images)
    network.eval().set_attn_implementation("eager")
    with torch.no_grad():
        maps = network(teacher.prepare(images), output_attentions=True).attentions
    assert len(view.attention) == 2 and view.grid == (2, 2)
    for own, whole in zip(view.attention, maps, strict=True):
        patches = whole[:, :, prefix:, prefix:]
        expected = patches / patches.sum(-1, keepdim=True)
        torch.testing.assert_close(own, expected, rtol=1e-4, atol=1e-6)
