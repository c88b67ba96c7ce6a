"""Maps of captured queries and keys against transformers' own eager attention."""

import pytest
import timm
import torch
from transformers import DINOv3ViTConfig, DINOv3ViTModel

from muse_core.errors import MuseError
from muse_core.foundations.captured_attention import captured_attention

CONFIG = dict(
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=4,
    num_attention_heads=4,
    num_register_tokens=2,
    image_size=32,
    patch_size=8,
    initializer_range=0.3,
)


def model(implementation: str) -> DINOv3ViTModel:
    """The same random weights behind another attention function."""
    torch.manual_seed(0)
    return DINOv3ViTModel._from_config(
        DINOv3ViTConfig(**CONFIG), attn_implementation=implementation
    ).eval()


def attention_modules(network: DINOv3ViTModel, layers: list[int]) -> list[torch.nn.Module]:
    blocks = network.model.layer if hasattr(network, "model") else network.layer
    return [blocks[layer].attention for layer in layers]


@torch.no_grad()
def test_maps_equal_transformers_eager_attention_in_the_chosen_layers_only() -> None:
    pixels, capturing = torch.randn(2, 3, 32, 32), model("sdpa")
    with captured_attention(capturing, attention_modules(capturing, [1, 3])) as layers:
        capturing(pixels)
    eager = model("eager")(pixels, output_attentions=True).attentions
    assert len(layers) == 2 and len(eager) == 4
    assert eager[1].std() > 1e-3, "the oracle is not uniform"
    torch.testing.assert_close(layers[0].probabilities(), eager[1], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(layers[1].probabilities(), eager[3], atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_outputs_are_those_of_fused_attention() -> None:
    pixels, capturing = torch.randn(2, 3, 32, 32), model("sdpa")
    fused = model("sdpa")(pixels).last_hidden_state
    assert torch.equal(capturing(pixels).last_hidden_state, fused), (
        "no layer chosen: the very same kernel"
    )
    with captured_attention(capturing, attention_modules(capturing, [0, 1, 2, 3])):
        assert torch.equal(capturing(pixels).last_hidden_state, fused), (
            "and the same where layers are chosen"
        )


def test_a_model_that_bypasses_fused_attention_is_noticed() -> None:
    bypassing = model("eager")
    with (
        pytest.raises(MuseError, match="gave attention of 0 layers where 2 were chosen"),
        captured_attention(bypassing, attention_modules(bypassing, [1, 3])),
    ):
        bypassing(torch.randn(1, 3, 32, 32))


def test_nothing_is_kept_once_the_block_is_left_even_by_an_error() -> None:
    capturing = model("sdpa")
    chosen = attention_modules(capturing, [0])
    with pytest.raises(RuntimeError, match="planted"), captured_attention(capturing, chosen):
        raise RuntimeError("planted")
    assert not chosen[0]._forward_hooks and not chosen[0]._forward_pre_hooks


def timm_vit(**options) -> torch.nn.Module:
    torch.manual_seed(0)
    size = dict(img_size=32, patch_size=8, embed_dim=32, depth=3, num_heads=2, num_classes=0)
    return timm.create_model("vit_tiny_patch16_224", **size, **options).eval()


@torch.no_grad()
def test_fused_calls_of_timm_are_watched_in_the_chosen_layers_only() -> None:
    network, pixels, formed = timm_vit(), torch.randn(2, 3, 32, 32), []
    with captured_attention(network, [network.blocks[layer].attn for layer in (0, 2)]) as layers:
        tokens = network.forward_features(pixels)
    for layer in (0, 2):
        network.blocks[layer].attn.fused_attn = False
        network.blocks[layer].attn.attn_drop.register_forward_hook(
            lambda *given: formed.append(given[2])
        )
    torch.testing.assert_close(network.forward_features(pixels), tokens)
    assert len(layers) == 2
    for found, true in zip(layers, formed, strict=True):
        torch.testing.assert_close(found.probabilities(), true, atol=1e-6, rtol=1e-5)


def test_layers_without_a_fused_call_are_noticed_and_hooks_do_not_outlive_an_error() -> None:
    network = timm_vit()
    attention = network.blocks[1].attn
    attention.fused_attn = False
    with (
        pytest.raises(MuseError, match="gave attention of 0 layers where 1 were chosen"),
        captured_attention(network, [attention]),
    ):
        network.forward_features(torch.randn(1, 3, 32, 32))
    with pytest.raises(RuntimeError, match="planted"), captured_attention(network, [attention]):
        raise RuntimeError("planted")
    assert not attention._forward_hooks and not attention._forward_pre_hooks
