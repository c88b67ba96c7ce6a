"""How the gradients of different losses lie to each other: energy, share, cosine and conflict, per
kind of weight and block.

Exact, from `torch.autograd.grad`, in double precision. Nothing is accumulated into ``.grad`` and no
weight changes. Under several processes, each with its part of a batch, the gradients are those of
the whole batch."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor, distributed, nn

from muse_core.errors import MuseError
from muse_core.models.backbone_routes import part_of
from muse_core.models.weight_groups import block_of, group_of

KINDS: dict[str, str] = {
    "W_Q": r".*\.blocks\.\d+\.(topology_norm|query|query_norm)\.",
    "W_K": r".*\.blocks\.\d+\.(key|key_norm)\.",
    "W_V semantic": r".*\.blocks\.\d+\.(semantic_norm|semantic_value|semantic_gate)\.",
    "W_V texture": r".*\.blocks\.\d+\.(texture_norm|texture_value|texture_gate|shared_projection)\.",
    "W_O": r".*\.blocks\.\d+\.output\.",
    "FFN": r".*\.blocks\.\d+\.(feedforward_norm|feedforward)\.",
}
"""Kinds of weight inside a block -> pattern; a weight outside the blocks is of the kind of its
`WeightGroup`, in the backbone of its `BackbonePart`."""


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
class PairGeometry:
    """Two losses at one place. ``cosine`` is None where either gradient is exactly zero;
    ``conflict``: the fraction of coordinates, among those where neither is zero, whose signs are
    opposite."""

    cosine: float | None
    conflict: float | None


@dataclass(frozen=True)
class GradientGeometry:
    """``energy``: squared gradient norm, loss -> place; 0.0 is exactly zero. ``pairs``: (loss,
    loss) -> place.
    """

    energy: dict[str, dict[Place, float]]
    pairs: dict[tuple[str, str], dict[Place, PairGeometry]]

    def share(self, loss: str, place: Place) -> float:
        """Of the loss's whole energy; 0 for a loss without gradient."""
        return self.energy[loss][place] / (sum(self.energy[loss].values()) or 1.0)


def kind_of(name: str) -> str:
    """The kind of a parameter of `MuseTokenizer`, by its name. Raises LookupError for a weight
    outside the routing table.
    """
    outside = str(part_of(name) or group_of(name))
    return next((kind for kind, pattern in KINDS.items() if re.match(pattern, name)), outside)


def places(tokenizer: nn.Module) -> dict[Place, list[nn.Parameter]]:
    """Every weight that may receive gradient, at its place."""
    found: dict[Place, list[nn.Parameter]] = {}
    for name, weight in tokenizer.named_parameters():
        if weight.requires_grad:
            found.setdefault(Place(kind_of(name), _depth(name)), []).append(weight)
    return found


def gradient_geometry(
    losses: Mapping[str, Tensor], at: Mapping[Place, Sequence[nn.Parameter]]
) -> GradientGeometry:
    """Geometry of all pairs of ``losses``, scalars of one graph, which is kept. Holds one copy of
    the gradients a loss.

    Raises MuseError for fewer than one loss, a loss without history, and one whose gradient is not
    finite."""
    if not losses:
        raise MuseError("There is no loss whose gradients could be compared: give at least one.")
    gradients = {name: _gradients(name, loss, at) for name, loss in losses.items()}
    energy = {
        name: {place: _dot(own, own) for place, own in found.items()}
        for name, found in gradients.items()
    }
    for name, found in energy.items():
        _refuse_infinite(name, found)
    return GradientGeometry(
        energy=energy,
        pairs={
            (a, b): {place: _pair(gradients[a][place], gradients[b][place]) for place in at}
            for a, b in combinations(losses, 2)
        },
    )


Gradients = list[Tensor | None]
"""One a weight; None where the loss does not reach it."""


def _gradients(
    name: str, loss: Tensor, at: Mapping[Place, Sequence[nn.Parameter]]
) -> dict[Place, Gradients]:
    if not loss.requires_grad:
        raise MuseError(f"The loss {name!r} has no gradient: compute it outside torch.no_grad().")
    weights = [weight for members in at.values() for weight in members]
    found = map(
        _over_processes, torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
    )
    return {place: [next(found) for _ in members] for place, members in at.items()}


def _over_processes(gradient: Tensor | None) -> Tensor | None:
    """The mean over all processes, each of which saw its part of the batch; the gradient itself
    where there is but one.
    """
    if gradient is None or not (distributed.is_available() and distributed.is_initialized()):
        return gradient
    total = gradient.contiguous()
    distributed.all_reduce(total)
    return total / distributed.get_world_size()


def _refuse_infinite(loss: str, energy: Mapping[Place, float]) -> None:
    for place, value in energy.items():
        if not math.isfinite(value):
            raise MuseError(
                f"The gradient of the loss {loss!r} is not finite at {place}: "
                "lower the learning rate, or look at the images it was measured on."
            )


def _dot(a: Gradients, b: Gradients) -> float:
    both = ((x, y) for x, y in zip(a, b, strict=True) if x is not None and y is not None)
    return sum(((x.double() * y.double()).sum().item() for x, y in both), 0.0)


def _pair(a: Gradients, b: Gradients) -> PairGeometry:
    norms = _dot(a, a) * _dot(b, b)
    if norms == 0:
        return PairGeometry(None, None)
    opposite = counted = 0
    for x, y in zip(a, b, strict=True):
        if x is not None and y is not None:
            signs = torch.sign(x) * torch.sign(y)
            opposite, counted = opposite + int((signs < 0).sum()), counted + int((signs != 0).sum())
    return PairGeometry(_dot(a, b) / norms**0.5, opposite / counted if counted else None)


def _depth(name: str) -> int:
    """The block, or the backbone's layer; -1 for what lies outside both."""
    block = block_of(name)
    layer = re.search(r"\.encoder\.layer\.(\d+)\.", name) if part_of(name) else None
    return block if block is not None else int(layer[1]) if layer else -1
