"""Attention probabilities of chosen layers only; every other layer keeps its fused kernel.

``output_attentions=True`` makes a transformers model form every N x N map, and with fused attention it silently returns
none. Here one function is registered with transformers' `AttentionInterface`: it receives queries and keys after rotary
embedding, forms the probabilities where a layer was chosen, and calls fused attention everywhere else.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from muse_core.errors import MuseError
from muse_core.shapes import AttentionMaps, TargetMaps

CAPTURING = "muse_capture"


def _attention(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options):
    store = getattr(module, "captured", None)
    if store is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    scaling = options.get("scaling") or query.shape[-1] ** -0.5
    probabilities = torch.softmax(query @ key.transpose(-1, -2) * scaling, dim=-1)
    store.append(probabilities)
    return (probabilities @ value).transpose(1, 2).contiguous(), None


AttentionInterface.register(CAPTURING, _attention)


@contextmanager
def captured_attention(model: nn.Module, attentions: Sequence[nn.Module]) -> Iterator[list[Tensor]]:
    """Collect (batch, heads, tokens, tokens) probabilities of these attention modules, in forward order.

    The model must run with ``attn_implementation=CAPTURING``. Raises MuseError when a forward inside the block leaves
    fewer maps than layers chosen (a model that bypasses the interface).
    """
    maps: list[Tensor] = []
    for attention in attentions:
        attention.captured = maps
    try:
        yield maps
    finally:
        for attention in attentions:
            attention.captured = None
    if len(maps) != len(attentions):
        raise MuseError(
            f"{type(model).__name__} gave attention of {len(maps)} layers where {len(attentions)} were chosen: "
            "load it with attn_implementation=CAPTURING."
        )


def patch_to_patch(attention: AttentionMaps, prefix: int) -> TargetMaps:
    """Drop class and register tokens (the first ``prefix``) from both axes and renormalise rows."""
    patches = attention[:, :, prefix:, prefix:]
    return patches / patches.sum(-1, keepdim=True)
