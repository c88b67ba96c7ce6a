"""Captured maps against transformers' own eager attention."""

import pytest
import torch
from transformers import DINOv3ViTConfig, DINOv3ViTModel

from muse_core.errors import MuseError
from muse_core.foundations.captured_attention import CAPTURING, captured_attention, patch_to_patch

CONFIG = dict(
    hidden_size=32, intermediate_size=64, num_hidden_layers=4, num_attention_heads=4, num_register_tokens=2,
    image_size=32, patch_size=8, initializer_range=0.3,
)  # fmt: skip


def model(implementation: str) -> DINOv3ViTModel:
    """The same random weights behind another attention function."""
    torch.manual_seed(0)
    return DINOv3ViTModel._from_config(DINOv3ViTConfig(**CONFIG), attn_implementation=implementation).eval()


def attention_modules(network: DINOv3ViTModel, layers: list[int]) -> list[torch.nn.Module]:
    blocks = network.model.layer if hasattr(network, "model") else network.layer
    return [blocks[layer].attention for layer in layers]


@torch.no_grad()
def test_maps_equal_transformers_eager_attention_in_the_chosen_layers_only() -> None:
    pixels, capturing = torch.randn(2, 3, 32, 32), model(CAPTURING)
    with captured_attention(capturing, attention_modules(capturing, [1, 3])) as maps:
        capturing(pixels)
    eager = model("eager")(pixels, output_attentions=True).attentions
    assert len(maps) == 2 and len(eager) == 4
    assert eager[1].std() > 1e-3, "the oracle is not uniform"
    torch.testing.assert_close(maps[0], eager[1], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(maps[1], eager[3], atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_outputs_are_those_of_fused_attention() -> None:
    pixels, capturing = torch.randn(2, 3, 32, 32), model(CAPTURING)
    fused = model("sdpa")(pixels).last_hidden_state
    assert torch.equal(capturing(pixels).last_hidden_state, fused), "no layer chosen: the very same kernel"
    with captured_attention(capturing, attention_modules(capturing, [0, 1, 2, 3])):
        torch.testing.assert_close(capturing(pixels).last_hidden_state, fused, atol=1e-5, rtol=1e-5)


def test_a_model_that_bypasses_the_interface_is_noticed() -> None:
    bypassing = model("sdpa")
    with (
        pytest.raises(MuseError, match="gave attention of 0 layers where 2 were chosen"),
        captured_attention(bypassing, attention_modules(bypassing, [1, 3])),
    ):
        bypassing(torch.randn(1, 3, 32, 32))


def test_nothing_is_kept_once_the_block_is_left_even_by_an_error() -> None:
    capturing = model(CAPTURING)
    chosen = attention_modules(capturing, [0])
    with pytest.raises(RuntimeError, match="planted"), captured_attention(capturing, chosen):
        raise RuntimeError("planted")
    assert chosen[0].captured is None


def test_patch_to_patch_drops_prefix_tokens_on_both_axes_and_renormalises() -> None:
    attention = torch.softmax(torch.randn(1, 2, 7, 7), -1)
    patches = patch_to_patch(attention, 3)
    assert patches.shape == (1, 2, 4, 4)
    for query in range(4):
        row = attention[0, 1, 3 + query, 3:]
        torch.testing.assert_close(patches[0, 1, query], row / row.sum())
