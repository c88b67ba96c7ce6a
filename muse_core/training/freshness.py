"""What a stage was trained with, in digests: weights it began from, callables of the user."""

import hashlib
import inspect
import types
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn


def weights_digest(network: nn.Module, ignored: str | None = None) -> str:
    """A digest of every weight and buffer, bit for bit.

    Args:
        ignored: The beginning of names that do not count.
    """
    digest = hashlib.blake2b(digest_size=12)
    for name, tensor in sorted(network.state_dict().items()):
        if ignored is None or not name.startswith(ignored):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def callable_digest(function: Callable[..., Any]) -> str:
    """A digest of a callable's source, defaults and the values it closes over,
    functions included.
    """
    return _of(repr(_described(function, set())).encode())


def _described(value: Any, seen: set[int]) -> Any:
    """A value as text and numbers that change when its meaning does."""
    if id(value) in seen:
        return "again"
    if isinstance(value, types.FunctionType | types.MethodType | type):
        return _described_code(value, seen | {id(value)})
    if isinstance(value, partial):
        return _described([value.func, value.args, value.keywords], seen)
    if isinstance(value, torch.Tensor):
        return _of(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    if isinstance(value, nn.Module):
        return [type(value).__qualname__, weights_digest(value)]
    if isinstance(value, Mapping):
        return [[_described(key, seen), _described(held, seen)] for key, held in value.items()]
    if isinstance(value, list | tuple | set | frozenset):
        return [_described(each, seen | {id(value)}) for each in value]
    if isinstance(value, types.ModuleType):
        return value.__name__
    if hasattr(value, "__dict__"):
        return [type(value).__qualname__, _described(vars(value), seen | {id(value)})]
    return repr(value)


def _described_code(function: Any, seen: set[int]) -> Any:
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        source = repr(_compiled(code)) if code else function.__qualname__
    if not isinstance(function, types.FunctionType):
        return source
    closed = inspect.getclosurevars(function)
    # Names of installed modules stand for themselves; what the user's own cells define counts.
    own = {
        name: value
        for name, value in closed.globals.items()
        if getattr(value, "__module__", function.__module__) == function.__module__
        and not isinstance(value, types.ModuleType)
    }
    defaults = [function.__defaults__, function.__kwdefaults__]
    return [source, _described([closed.nonlocals, own, defaults], seen)]


def _compiled(code: types.CodeType) -> tuple[Any, ...]:
    """What a function without source does: its instructions, and the names and values they use."""
    inner = (
        _compiled(each) if isinstance(each, types.CodeType) else each for each in code.co_consts
    )
    return code.co_code, code.co_names, *inner


def _of(content: Any) -> str:
    return hashlib.blake2b(content, digest_size=12).hexdigest()
