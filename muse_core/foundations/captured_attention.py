"""Queries and keys of chosen attention layers, taken where they enter the fused kernel: no map is
formed in any layer.

``output_attentions=True`` makes a transformers model form every N x N map, and with fused attention
it silently returns none. Here a function registered with transformers' `AttentionInterface`
receives queries and keys after norms and rotary embedding and keeps them where a layer was chosen.
timm has no such interface; there the call of torch's fused attention itself is watched while a
chosen layer runs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from muse_core.attention import QueryKeys
from muse_core.errors import MuseError

CAPTURING = "muse_capture"


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **options,
):
    store = getattr(module, "captured", None)
    if store is not None:
        store.append(QueryKeys(query, key, options.get("scaling") or query.shape[-1] ** -0.5))
    return sdpa_attention_forward(module, query, key, value, attention_mask, **options)


AttentionInterface.register(CAPTURING, _attention)


@contextmanager
def captured_attention(
    model: nn.Module, attentions: Sequence[nn.Module]
) -> Iterator[list[QueryKeys]]:
    """Collect queries and keys of these attention modules of a transformers model, in forward
    order.

    The model must run with ``attn_implementation=CAPTURING``. Raises MuseError when a forward
    inside the block leaves another number than layers chosen (a model that bypasses the interface).
    """
    found: list[QueryKeys] = []
    modules: Sequence[Any] = attentions
    for attention in modules:
        attention.captured = found
    try:
        yield found
    finally:
        for attention in modules:
            attention.captured = None
    _require_all(found, model, attentions, "load it with attn_implementation=CAPTURING")


class _FusedCalls(TorchFunctionMode):
    """Keeps what fused attention is called with, while ``watching``."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[QueryKeys] = []
        self.watching = False

    def __torch_function__(self, function, types, given=(), named=None):
        named = named or {}
        if self.watching and function is F.scaled_dot_product_attention:
            query, key = given[:2]
            self.found.append(QueryKeys(query, key, named.get("scale") or query.shape[-1] ** -0.5))
        return function(*given, **named)

    def watch(self, on: bool) -> None:
        self.watching = on


@contextmanager
def captured_fused_calls(
    model: nn.Module, attentions: Sequence[nn.Module]
) -> Iterator[list[QueryKeys]]:
    """As `captured_attention`, for attention modules of any library that call torch's fused
    attention once each.

    Raises MuseError when a forward inside the block leaves another number than layers chosen.
    """
    calls = _FusedCalls()
    hooks = [
        hook
        for attention in attentions
        for hook in (
            attention.register_forward_pre_hook(lambda *_: calls.watch(True)),
            attention.register_forward_hook(lambda *_: calls.watch(False), always_call=True),
        )
    ]
    try:
        with calls:
            yield calls.found
    finally:
        for hook in hooks:
            hook.remove()
    _require_all(
        calls.found,
        model,
        attentions,
        "choose a network whose layers call scaled_dot_product_attention once",
    )


def _require_all(
    found: list[QueryKeys], model: nn.Module, attentions: Sequence[nn.Module], advice: str
) -> None:
    if len(found) != len(attentions):
        raise MuseError(
            f"{type(model).__name__} gave attention of {len(found)} layers where {len(attentions)} were chosen: {advice}."
        )
