"""How the gradients of different losses lie to each other: inner products and opposite signs, per
kind of weight and block.

Exact, from `torch.autograd.grad`, in double precision. Nothing is accumulated into ``.grad`` and no
weight changes. Under several processes, each with its part of a batch, the gradients are those of
the whole batch."""

import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed, nn

from muse_core.errors import MuseError
from muse_core.models.backbone_routes import BackbonePart, part_of
from muse_core.models.gradient_routes import WeightGroup
from muse_core.models.weight_groups import block_of, group_of

KINDS: dict[str, str] = {
    "W_Q": r".*\.blocks\.\d+\.(topology_norm|query|query_norm)\.",
    "W_K": r".*\.blocks\.\d+\.(key|key_norm)\.",
    "W_V semantic": r".*\.blocks\.\d+\.(semantic_norm|semantic_value|semantic_gate)\.",
    "W_V texture": (
        r".*\.blocks\.\d+\.(texture_norm|texture_value|texture_gate|shared_projection)\."
    ),
    "W_O": r".*\.blocks\.\d+\.output\.",
    "FFN": r".*\.blocks\.\d+\.(feedforward_norm|feedforward)\.",
}
"""Kinds of weight inside a block -> pattern; a weight outside the blocks is of the kind of its
`WeightGroup`, in the backbone of its `BackbonePart`."""


KINDS_GROUPS = {
    "W_Q": WeightGroup.QUERY_KEY,
    "W_K": WeightGroup.QUERY_KEY,
    "W_V semantic": WeightGroup.SEMANTIC_VALUE,
}
"""Of the kinds in a block; all others are the texture's."""


@dataclass(frozen=True, order=True)
class Place:
    """Where gradients are compared: a kind of weight, in one block or layer of the backbone (-1:
    neither).
    """

    kind: str
    block: int = -1

    def __str__(self) -> str:
        return self.kind if self.block < 0 else f"{self.kind}, block {self.block}"


@dataclass(frozen=True)
class GradientGeometry:
    """Gradients of several losses compared place by place, once or at several steps of a training.

    Args:
        losses: Their names, in the order of the last two axes.
        places: Where they were compared, in the order of the axis before those.
        gram: (..., places, losses, losses) inner products; the diagonal holds each loss's energy,
            its squared gradient norm, and 0.0 there is exactly zero.
        conflict: Same shape; the share of coordinates, among those where neither gradient is zero,
            whose signs are opposite. Not-a-number where there are none, and on the diagonal.
        steps: (steps,) optimiser steps done before each measurement, where there are several.
    """

    losses: tuple[str, ...]
    places: tuple[Any, ...]
    gram: np.ndarray
    conflict: np.ndarray
    steps: np.ndarray | None = None

    def at(self, where: Callable[[Any], bool]) -> "GradientGeometry":
        """The same, at the places that ``where`` chooses."""
        kept = [index for index, place in enumerate(self.places) if where(place)]
        return GradientGeometry(
            self.losses,
            tuple(self.places[index] for index in kept),
            self.gram[..., kept, :, :],
            self.conflict[..., kept, :, :],
            self.steps,
        )

    def energy(self, loss: str) -> np.ndarray:
        """(..., places): the loss's squared gradient norm; 0.0 is exactly zero."""
        index = self.losses.index(loss)
        return self.gram[..., index, index]

    def share(self, loss: str) -> np.ndarray:
        """(..., places): the part of the loss's energy that arrives at each place."""
        energy = self.energy(loss)
        total = energy.sum(-1, keepdims=True)
        return energy / np.where(total > 0, total, 1.0)

    def cosines(self, a: str, b: str) -> np.ndarray:
        """(..., places): cosine of two losses at each place; not-a-number where either is zero."""
        return _cosine(self._dot(a, b), self.energy(a), self.energy(b))

    def cosine(self, a: str, b: str) -> np.ndarray:
        """(...): cosine of two losses over all places taken together; not-a-number where no weight
        hears both.
        """
        energies = self.energy(a), self.energy(b)
        meet = (energies[0] * energies[1] > 0).any(-1)
        sums = (each.sum(-1, keepdims=True) for each in (self._dot(a, b), *energies))
        return np.where(meet, _cosine(*sums)[..., 0], np.nan)

    def _dot(self, a: str, b: str) -> np.ndarray:
        return self.gram[..., self.losses.index(a), self.losses.index(b)]


def _cosine(dot: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    norms = np.sqrt(a * b)
    return np.where(norms > 0, dot / np.where(norms > 0, norms, 1.0), np.nan)


def kind_of(name: str) -> str:
    """The kind of a parameter of `MuseTokenizer`, by its name. Raises MuseError for a weight
    outside the routing table.
    """
    outside = str(part_of(name) or group_of(name))
    return next((kind for kind, pattern in KINDS.items() if re.match(pattern, name)), outside)


def weight_group(kind: str) -> WeightGroup:
    """The row of the routing table that a kind of weight belongs to."""
    if kind in KINDS:
        return KINDS_GROUPS.get(kind, WeightGroup.TEXTURE)
    return WeightGroup.BACKBONE if kind in set(BackbonePart) else WeightGroup(kind)


def in_blocks(place: Place) -> bool:
    """Whether a place lies in the synergistic blocks, and not in the trunk, heads or backbone."""
    return place.kind in KINDS


def places(tokenizer: nn.Module) -> dict[Place, list[nn.Parameter]]:
    """Every weight of the tokenizer, at its place."""
    found: dict[Place, list[nn.Parameter]] = {}
    for name, weight in tokenizer.named_parameters():
        found.setdefault(Place(kind_of(name), _depth(name)), []).append(weight)
    return found


def _depth(name: str) -> int:
    """The block, or the backbone's layer; -1 for what lies outside both."""
    block = block_of(name)
    layer = re.search(r"\.(?:layers?|blocks)\.(\d+)\.", name) if part_of(name) else None
    return block if block is not None else int(layer[1]) if layer else -1


def gradient_geometry(
    losses: Mapping[str, Tensor], at: Mapping[Any, Sequence[nn.Parameter]]
) -> GradientGeometry:
    """Compare the gradients of losses at each place; holds one copy of the gradients a loss.

    Args:
        losses: Name -> scalar; all of one graph, which is kept.
        at: Place -> its weights; one that is frozen receives no gradient.

    Raises:
        MuseError: Fewer than one loss, one without history, or a gradient that is not finite.
    """
    if not losses:
        raise MuseError("There is no loss whose gradients could be compared: give at least one.")
    gradients = [gradients_of(name, loss, at) for name, loss in losses.items()]
    gram = np.zeros((len(at), len(losses), len(losses)))
    conflict = np.full_like(gram, np.nan)
    for (index, place), i, j in product(enumerate(at), range(len(losses)), range(len(losses))):
        a, b = gradients[i][place], gradients[j][place]
        if i <= j:
            gram[index, i, j] = gram[index, j, i] = dot(a, b)
        if i < j:
            conflict[index, i, j] = conflict[index, j, i] = _opposite(a, b)
    return GradientGeometry(tuple(losses), tuple(at), gram, conflict)


Gradients = list[Tensor | None]
"""One a weight; None where the loss does not reach it."""


def gradients_of(
    name: str, loss: Tensor, at: Mapping[Any, Sequence[nn.Parameter]]
) -> dict[Hashable, Gradients]:
    """The gradient of one loss at each place. Raises MuseError for one without history, or one that
    is not finite.
    """
    if not loss.requires_grad:
        raise MuseError(f"The loss {name!r} has no gradient: compute it outside torch.no_grad().")
    weights = [weight for members in at.values() for weight in members if weight.requires_grad]
    found = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
    gradient = dict(zip(map(id, weights), map(_over_processes, found), strict=True))
    held = {place: [gradient.get(id(each)) for each in members] for place, members in at.items()}
    for place, own in held.items():
        if not all(each is None or torch.isfinite(each).all() for each in own):
            raise MuseError(
                f"The gradient of the loss {name!r} is not finite at {place}: "
                "lower the learning rate, or look at the images it was measured on."
            )
    return held


def _over_processes(gradient: Tensor | None) -> Tensor | None:
    """The mean over all processes, each of which saw its part of the batch; the gradient itself
    where there is but one.
    """
    if gradient is None or not (distributed.is_available() and distributed.is_initialized()):
        return gradient
    total = gradient.contiguous()
    distributed.all_reduce(total)
    return total / distributed.get_world_size()


def dot(a: Gradients, b: Gradients) -> float:
    """Inner product of two gradients, in double precision."""
    both = ((x, y) for x, y in zip(a, b, strict=True) if x is not None and y is not None)
    return sum(((x.double() * y.double()).sum().item() for x, y in both), 0.0)


def _opposite(a: Gradients, b: Gradients) -> float:
    opposite = counted = 0
    for x, y in zip(a, b, strict=True):
        if x is not None and y is not None:
            signs = torch.sign(x) * torch.sign(y)
            opposite, counted = opposite + int((signs < 0).sum()), counted + int((signs != 0).sum())
    return opposite / counted if counted else np.nan


@contextmanager
def as_found(*modules: nn.Module) -> Iterator[None]:
    """Puts back random state, buffers (spectral norm's, for one) and which weights may receive
    gradient, once the block ends.
    """
    asked = {weight: weight.requires_grad for module in modules for weight in module.parameters()}
    buffers = {buffer: buffer.clone() for module in modules for buffer in module.buffers()}
    try:
        with torch.random.fork_rng():
            yield
    finally:
        with torch.no_grad():
            for buffer, value in buffers.items():
                buffer.copy_(value)
        for weight, flag in asked.items():
            weight.requires_grad_(flag)
