"""PCGrad: where the gradients of two tasks conflict, each loses its component along the other.

Yu et al. 2020, "Gradient Surgery for Multi-Task Learning" (arXiv 2001.06782), Algorithm 1. Here it
is the alternative that orthogonal routing is compared with: three backward passes instead of one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from muse_core.config.stage import PIXEL_LOSSES, SEMANTIC_LOSSES, Loss
from muse_core.losses.objective import LossTerms

TASKS: dict[str, frozenset[Loss]] = {
    "pixels": PIXEL_LOSSES,
    "semantics": SEMANTIC_LOSSES,
    "topology": frozenset({Loss.TOPOLOGY}),
}
"""The tasks whose gradients may conflict; the losses of one task are one gradient."""


def task_losses(
    terms: LossTerms, weights: Mapping[str, float], losses: Mapping[str, Any]
) -> dict[str, Tensor]:
    """Task -> weighted sum of its losses, for the tasks that have any.

    Args:
        losses: Loss -> what has its row of the routing table as ``like``.
    """
    found = {
        task: [
            weights[name] * part for name, part in terms.parts.items() if losses[name].like in heard
        ]
        for task, heard in TASKS.items()
    }
    return {task: torch.stack(parts).sum() for task, parts in found.items() if parts}


def without_conflict(gradients: Sequence[Tensor]) -> Tensor:
    """Flat gradients of the tasks -> their sum after each was projected off those it conflicts
    with, in random order.
    """
    projected = []
    for index, own in enumerate(gradients):
        current = own.clone()
        others = [j for j in torch.randperm(len(gradients)).tolist() if j != index]
        for other in (gradients[j] for j in others):
            overlap = current @ other
            if overlap < 0:
                current -= overlap / (other @ other) * other
        projected.append(current)
    return torch.stack(projected).sum(0)


def backward_without_conflict(
    losses: Mapping[str, Tensor], weights: Sequence[nn.Parameter]
) -> None:
    """Put the projected sum into ``.grad`` of every weight that some task reaches."""
    found = [
        torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
        for loss in losses.values()
    ]
    reached = {
        weight: [torch.zeros_like(weight) if each is None else each for each in of_tasks]
        for weight, *of_tasks in zip(weights, *found, strict=True)
        if any(each is not None for each in of_tasks)
    }
    tasks = zip(*reached.values(), strict=True)
    flat = [torch.cat([each.flatten() for each in of_task]) for of_task in tasks]
    pieces = without_conflict(flat).split([weight.numel() for weight in reached])
    for weight, piece in zip(reached, pieces, strict=True):
        weight.grad = piece.view_as(weight).clone()
