"""Which network measures is never silent: its name says so."""

from pathlib import Path

import pytest
import torch
from transformers import DINOv3ViTConfig

from muse_core.foundations.perceptual import perceptual_network
from muse_core.foundations.topology_teacher import DinoV3Teacher, observe
from muse_core.foundations.torch_weights import VGG16_URL

DINO = DINOv3ViTConfig(
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_register_tokens=2,
    image_size=32,
    patch_size=8,
    initializer_range=0.3,
)
VGG_WIDTHS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
VGG_LAYERS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
"""Widths and indices of VGG-16's convolutions in torchvision's ``features``."""


def test_without_lpips_weights_the_teacher_measures_and_says_so(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    teacher = DinoV3Teacher.from_config(DINO, (1,))
    network, images = perceptual_network(teacher), torch.rand(2, 3, 32, 32, requires_grad=True)
    assert network.name == "teacher features"
    features = network(images)
    torch.testing.assert_close(
        features[0].detach(), observe(teacher, images).features, atol=1e-5, rtol=1e-5
    )
    features[0].square().sum().backward()
    assert images.grad.abs().sum() > 0 and all(
        weight.grad is None for weight in network.parameters()
    )


@pytest.mark.slow
def test_with_vgg_weights_on_disk_lpips_features_are_used(tmp_path: Path, monkeypatch) -> None:
    weights, width_in = {}, 3
    for index, width in zip(VGG_LAYERS, VGG_WIDTHS, strict=True):
        weights[f"features.{index}.weight"] = (
            torch.randn(width, width_in, 3, 3) * (2 / (9 * width_in)) ** 0.5
        )
        weights[f"features.{index}.bias"] = torch.zeros(width)
        width_in = width
    place = tmp_path / "hub" / "checkpoints" / VGG16_URL.split("/")[-1]
    place.parent.mkdir(parents=True)
    torch.save(weights, place)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    network = perceptual_network(DinoV3Teacher.from_config(DINO, (1,)))
    assert network.name == "LPIPS VGG-16 features" and not network.training
    images = torch.rand(1, 3, 32, 32)
    layers = network(images)
    assert [tuple(layer.shape) for layer in layers] == [
        (1, 1024, 64),
        (1, 256, 128),
        (1, 64, 256),
        (1, 16, 512),
        (1, 4, 512),
    ]
    mean, std = (
        torch.tensor(values).view(3, 1, 1)
        for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    pixels = (images - mean) / std
    conv = torch.nn.functional.conv2d
    first = conv(pixels, weights["features.0.weight"], weights["features.0.bias"], padding=1).relu()
    second = conv(first, weights["features.2.weight"], weights["features.2.bias"], padding=1).relu()
    expected = second.flatten(2).transpose(1, 2)
    torch.testing.assert_close(
        layers[0], expected, atol=0.05, rtol=0.05
    )  # LPIPS rounds its mean and deviation
