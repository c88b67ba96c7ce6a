"""What a stage was trained with, in digests: weights it began from, callables of the user."""

import hashlib
import inspect
import types
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from muse_core.results.trained_code import own_digest


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


def own_code(kind: type) -> str:
    """The digest of the whole file that a class of the user's stands in, as its helpers count too,
    and of what it imports from beside it; of the class itself where it stands in none, in a
    notebook.
    """
    try:
        return own_digest(Path(inspect.getsourcefile(kind) or ""))
    except (OSError, TypeError):
        return callable_digest(kind)


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
        return [_described_code(type(value), seen), weights_digest(value)]
    if isinstance(value, Mapping):
        return [[_described(key, seen), _described(held, seen)] for key, held in value.items()]
    if isinstance(value, set | frozenset):
        return sorted(map(repr, value))
    if isinstance(value, list | tuple):
        return [_described(each, seen | {id(value)}) for each in value]
    if isinstance(value, types.ModuleType):
        return value.__name__
    if hasattr(value, "__dict__"):
        held = _described(vars(value), seen | {id(value)})
        return [_described_code(type(value), seen | {id(value)}), held]
    return repr(value)


def _described_code(function: Any, seen: set[int]) -> Any:
    """Source where there is some, else instructions; for a method its object's values too."""
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        source = _instructions(function)
    if isinstance(function, types.MethodType):
        return [source, _described(function.__self__, seen)]
    if not isinstance(function, types.FunctionType):
        return source
    closed = inspect.getclosurevars(function)
    # Functions and classes of installed modules stand for themselves; what the user's own cells
    # define counts.
    own = {}
    for name, value in closed.globals.items():
        code = isinstance(value, types.FunctionType | type)
        installed = code and value.__module__ != function.__module__
        if not (installed or isinstance(value, types.ModuleType)):
            own[name] = value
    defaults = [function.__defaults__, function.__kwdefaults__]
    return [source, _described([closed.nonlocals, own, defaults], seen)]


def _instructions(function: Any) -> str:
    """What a function, or each method of a class, does where its source is not at hand."""
    if isinstance(function, type):
        methods = sorted((k, v) for k, v in vars(function).items() if hasattr(v, "__code__"))
        return repr([(name, _compiled(method.__code__)) for name, method in methods])
    code = getattr(function, "__code__", None)
    return repr(_compiled(code)) if code else getattr(function, "__qualname__", repr(function))


def _compiled(code: types.CodeType) -> tuple[Any, ...]:
    """What a function without source does: its instructions, and the names and values they use."""
    inner = (
        _compiled(each) if isinstance(each, types.CodeType) else each for each in code.co_consts
    )
    return code.co_code, code.co_names, *inner


def _of(content: Any) -> str:
    return hashlib.blake2b(content, digest_size=12).hexdigest()
