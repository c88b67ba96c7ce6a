"""Queries and keys of chosen attention layers, taken where they enter torch's fused kernel: no map
is formed in any layer.

``output_attentions=True`` makes a transformers model form every N x N map, and with fused attention
it silently returns none; timm has nothing of the kind. So the call of fused attention itself is
watched while a chosen layer runs, which serves both."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from muse_core.attention import QueryKeys
from muse_core.errors import MuseError


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


@contextmanager
def captured_attention(
    model: nn.Module, attentions: Sequence[nn.Module]
) -> Iterator[list[QueryKeys]]:
    """Collect queries and keys of some layers of a model, in forward order.

    Args:
        model: Any network.
        attentions: Its attention modules, each of which calls fused attention once.

    Raises:
        MuseError: Where a forward inside the block leaves another number than layers chosen.
    """
    calls, hooks = _FusedCalls(), []
    watch = lambda on, *_: setattr(calls, "watching", on)
    for attention in attentions:
        hooks.append(attention.register_forward_pre_hook(partial(watch, True)))
        hooks.append(attention.register_forward_hook(partial(watch, False), always_call=True))
    try:
        with calls:
            yield calls.found
    finally:
        for hook in hooks:
            hook.remove()
    if len(calls.found) != len(attentions):
        raise MuseError(
            f"{type(model).__name__} gave attention of {len(calls.found)} layers where "
            f"{len(attentions)} were chosen: choose a network whose layers call "
            "scaled_dot_product_attention once."
        )
