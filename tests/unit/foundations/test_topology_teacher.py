"""Both kinds of teacher: what they show of their attention, and that nothing puts them in training
mode.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from transformers import DINOv3ViTConfig, DINOv3ViTModel

from muse_core.errors import MuseError
from muse_core.foundations.topology_teacher import (
    DinoV3Teacher,
    TimmTeacher,
    TopologyTeacher,
    observe,
    spread_layers,
)
from muse_core.training.teachers import open_topology_teacher

DINO = DINOv3ViTConfig(
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=4,
    num_attention_heads=4,
    num_register_tokens=2,
    image_size=32,
    patch_size=8,
    initializer_range=0.3,
)
SMALL_VIT = dict(embed_dim=32, depth=3, num_heads=2, pretrained=False)
# Of ImageNet.
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def dino(layers=(1, 3)) -> DinoV3Teacher:
    torch.manual_seed(0)
    return DinoV3Teacher.from_config(DINO, layers)


def timm_teacher(name: str = "vit_tiny_patch16_224", **options) -> TimmTeacher:
    return TimmTeacher.from_name(name, (0, 2), image_size=64, **(SMALL_VIT | options))


@pytest.mark.parametrize(
    ("layers", "blocks", "expected"),
    [
        (12, 6, (1, 3, 5, 7, 9, 11)),
        (24, 6, (3, 7, 11, 15, 19, 23)),
        (6, 6, (0, 1, 2, 3, 4, 5)),
        (40, 6, (6, 12, 19, 26, 32, 39)),
        (8, 3, (2, 4, 7)),
        (5, 1, (4,)),
    ],
)
def test_layers_are_spread_over_the_depth(
    layers: int, blocks: int, expected: tuple[int, ...]
) -> None:
    assert spread_layers(layers, blocks) == expected


@pytest.mark.parametrize("layers", range(6, 49))
def test_spread_layers_are_distinct_increasing_and_end_at_the_last(layers: int) -> None:
    spread = spread_layers(layers, 6)
    assert len(set(spread)) == 6 and list(spread) == sorted(spread)
    assert spread[0] >= 0 and spread[-1] == layers - 1


def test_too_few_layers_are_a_sentence() -> None:
    with pytest.raises(MuseError, match=r"4 layers, fewer than the 6 student blocks"):
        spread_layers(4, 6)


@pytest.mark.parametrize("build", [dino, timm_teacher])
def test_a_view_has_a_map_per_chosen_layer_with_rows_that_sum_to_one(build) -> None:
    teacher: TopologyTeacher = build()
    view = observe(teacher, torch.rand(2, 3, 64, 64))
    tokens = view.grid[0] * view.grid[1]
    assert view.grid == (4, 4) and len(view.attention) == 2
    for maps in view.attention:
        assert maps.shape == (2, teacher.num_heads, tokens, tokens)
        torch.testing.assert_close(maps.sum(-1), torch.ones(2, teacher.num_heads, tokens))
    assert view.features.shape == (2, tokens, 32) and not view.features.requires_grad


@torch.no_grad()
def test_dinov3_sees_resized_images_normalised_exactly_once() -> None:
    images = torch.rand(2, 3, 48, 48)
    resized = F.interpolate(images, (32, 32), mode="bilinear", antialias=True, align_corners=False)
    pixels = (resized - MEAN.view(3, 1, 1)) / STD.view(3, 1, 1)
    torch.manual_seed(0)
    eager = DINOv3ViTModel._from_config(DINO, attn_implementation="eager").eval()
    plain = eager(pixels, output_attentions=True)
    view = observe(dino(), images)
    torch.testing.assert_close(view.features, plain.last_hidden_state[:, 3:], atol=1e-5, rtol=1e-5)
    patches = plain.attentions[3][:, :, 3:, 3:]
    torch.testing.assert_close(
        view.attention[1], patches / patches.sum(-1, keepdim=True), atol=1e-5, rtol=1e-4
    )


@torch.no_grad()
def test_timm_maps_equal_its_own_queries_and_keys_in_the_chosen_order() -> None:
    teacher = timm_teacher()
    view = observe(teacher, images := torch.rand(1, 3, 64, 64))
    network, inputs = teacher.network, []
    hook = network.blocks[2].attn.register_forward_hook(
        lambda module, given, output: inputs.append(given[0])
    )
    network.forward_features(teacher.normalise(images))
    hook.remove()
    q, k, _ = network.blocks[2].attn.qkv(inputs[0]).view(1, 17, 3, 2, 16).permute(2, 0, 3, 1, 4)
    maps = torch.softmax(q @ k.transpose(-1, -2) / 4, -1)[:, :, 1:, 1:]
    torch.testing.assert_close(
        view.attention[1], maps / maps.sum(-1, keepdim=True), atol=1e-5, rtol=1e-4
    )


def test_a_dinov3_of_timm_drops_its_registers_too() -> None:
    view = observe(timm_teacher("vit_small_patch16_dinov3"), torch.rand(1, 3, 64, 64))
    assert (
        view.grid == (4, 4)
        and view.attention[0].shape == (1, 2, 16, 16)
        and view.features.shape == (1, 16, 32)
    )


def test_layers_may_repeat_and_come_in_any_order() -> None:
    images = torch.rand(1, 3, 32, 32)
    straight, mixed = observe(dino((0, 2)), images), observe(dino((2, 0, 2)), images)
    assert torch.equal(mixed.attention[0], straight.attention[1])
    assert torch.equal(mixed.attention[2], straight.attention[1])
    assert torch.equal(mixed.attention[1], straight.attention[0])


@pytest.mark.parametrize("build", [dino, timm_teacher])
def test_a_teacher_stays_in_eval_mode_whoever_asks(build) -> None:
    """DINOv3 jitters its rotary embedding in training mode; then two views of one image differ."""
    teacher, images = build(), torch.rand(1, 3, 64, 64)
    torch.nn.ModuleList([teacher]).train()
    teacher.train(True)
    assert not any(module.training for module in teacher.modules())
    assert torch.equal(observe(teacher, images).attention[0], observe(teacher, images).attention[0])


def test_wrong_layers_names_and_networks_are_sentences() -> None:
    with pytest.raises(MuseError, match=r"layers 0\.\.3, but layer 4 was chosen"):
        dino((1, 4))
    with pytest.raises(MuseError, match=r"layers 0\.\.3, but layer -1"):
        dino((-1,))
    with pytest.raises(MuseError, match="timm has no model 'vit_enormous'"):
        TimmTeacher.from_name("vit_enormous", pretrained=False)
    for layers in ((0,), None):
        with pytest.raises(MuseError, match="no transformer blocks"):
            TimmTeacher.from_name("resnet10t", layers, pretrained=False)


def test_a_saved_dinov3_comes_back_with_layers_spread_over_its_depth(tmp_path) -> None:
    dino().network.save_pretrained(tmp_path)
    teacher = DinoV3Teacher.from_pretrained(tmp_path, blocks=2)
    assert teacher.layers == (1, 3) and teacher.image_size == 32
    images = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(
        observe(teacher, images).attention[1], observe(dino(), images).attention[1]
    )


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (None, "cannot be read"),
        ('{"model_type": "clip"}', "holds 'clip', not a DINOv3 ViT"),
        ('{"model_type": "dinov3_vit"}', "holds no weights: it needs model.safetensors"),
    ],
)
def test_a_folder_without_a_dinov3_is_a_sentence(tmp_path, config: str | None, words: str) -> None:
    if config:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(MuseError, match=words):
        DinoV3Teacher.from_pretrained(tmp_path)


def test_weights_that_cannot_be_fetched_are_a_sentence(monkeypatch) -> None:
    import timm

    def offline(*_, **__):
        raise FileNotFoundError("no network")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(
        MuseError, match="weights of timm's 'vit_tiny_patch16_224' are not on this machine"
    ):
        TimmTeacher.from_name("vit_tiny_patch16_224")


def timm_folder(folder: Path, **config: Any) -> Path:
    """As timm saves a network for a hub: config.json beside model.safetensors."""
    import timm
    from safetensors.torch import save_file

    name, sizes = "vit_tiny_patch16_224", {"depth": 3, "embed_dim": 24, "num_heads": 2}
    network = timm.create_model(name, num_classes=5, img_size=64, **sizes)
    save_file(network.state_dict(), folder / "model.safetensors")
    said = {"architecture": name, "num_classes": 5, "model_args": sizes | {"img_size": 64}}
    (folder / "config.json").write_text(json.dumps(said | config))
    return folder


def test_a_folder_that_timm_saved_teaches(tmp_path) -> None:
    from safetensors.torch import load_file

    teacher = open_topology_teacher(str(timm_folder(tmp_path)), blocks=3)
    assert (teacher.num_layers, teacher.num_heads, teacher.image_size) == (3, 2, 64)
    saved = load_file(tmp_path / "model.safetensors")
    own = teacher.network.state_dict()
    assert all(torch.equal(own[name], saved[name]) for name in own) and len(own) > 20
    assert open_topology_teacher(str(tmp_path), 3, image_size=32).image_size == 32


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"architecture": "vit_enormous"}, "timm makes no 'vit_enormous'"),
        ({"model_args": {"depth": 4, "embed_dim": 24, "num_heads": 2}}, "holds pos_embed of shape"),
        ({"model_args": {"colour": 3}}, "timm makes no"),
        ({"pretrained_cfg": {"mean": [0.5, 0.5, 0.5]}}, "gives mean"),
        ({"architecture": "resnet18", "model_args": {}}, "lacks|no transformer blocks"),
    ],
)
def test_a_folder_of_timm_that_says_something_else_is_refused(tmp_path, config, words) -> None:
    with pytest.raises(MuseError, match=words):
        open_topology_teacher(str(timm_folder(tmp_path, **config)), blocks=3)


def test_a_folder_of_timm_makes_it_read_no_other_file(tmp_path) -> None:
    other = tmp_path / "other.pth"
    torch.save({"boom": 1}, other)
    sizes = {"depth": 3, "embed_dim": 24, "num_heads": 2, "img_size": 64}
    args = sizes | {"checkpoint_path": str(other), "pretrained": True}
    teacher = open_topology_teacher(str(timm_folder(tmp_path, model_args=args)), blocks=3)
    assert teacher.num_layers == 3
