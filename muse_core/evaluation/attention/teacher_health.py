"""Is a topology teacher's attention object-like at all? A degraded teacher misleads L_topo.

Two ways to fail: attention that looks everywhere alike, and attention that finds objects no better
than mere nearness."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from muse_core.data.batch import Source
from muse_core.evaluation.attention.object_alignment import nearness, object_scores, patch_instances
from muse_core.foundations.topology_teacher import TopologyTeacher, observe

UNIFORM = 0.97
"""Entropy, as a share of its largest value, from which on attention counts as looking everywhere
alike.
"""
MARGIN = 0.02
"""By how much the best layer's AUC has to beat nearness."""


@dataclass(frozen=True)
class TeacherHealth:
    """``entropy``: per used layer, share of the entropy of looking everywhere alike. ``auc``: per
    used layer, mean over heads, or None for images without instance masks; ``nearness``: the AUC of
    attention that knows only distance."""

    n: int
    entropy: dict[int, float]
    auc: dict[int, float] | None
    nearness: float | None

    @property
    def complaints(self) -> list[str]:
        """What is wrong, in sentences; empty for a healthy teacher."""
        found = []
        if min(self.entropy.values()) > UNIFORM:
            found.append(
                f"The teacher's attention is nearly uniform on these images (entropy {min(self.entropy.values()):.1%} of its "
                "maximum in its most focused layer)."
            )
        if self.auc is not None and max(self.auc.values()) < self.nearness + MARGIN:
            found.append(
                f"The teacher's best layer finds objects with AUC {max(self.auc.values()):.2f}, no better than mere nearness of "
                f"patches ({self.nearness:.2f})."
            )
        return found

    @property
    def healthy(self) -> bool:
        return not self.complaints

    def __str__(self) -> str:
        if self.complaints:
            return (
                "WARNING: "
                + " ".join(self.complaints)
                + " L_topo would teach the student this; choose another teacher or other layers."
            )
        focus = f"entropy {min(self.entropy.values()):.0%} of its maximum in the most focused layer"
        if self.auc is None:
            return f"The teacher's attention is not uniform ({focus}); there are no instance masks to hold it against."
        return (
            f"The teacher's attention finds objects: same-object AUC up to {max(self.auc.values()):.2f}, where mere nearness of "
            f"patches gives {self.nearness:.2f} ({focus})."
        )


@torch.no_grad()
def teacher_health(teacher: TopologyTeacher, source: Source, n: int = 32) -> TeacherHealth:
    """Look at the attention of the used layers on the first ``n`` images of a split."""
    batch = source.first(n)
    device = next(teacher.parameters()).device
    view = observe(teacher, batch.images.to(device))
    maps = [each.cpu().float() for each in view.attention]
    most = math.log(maps[0].shape[-1])
    entropy = [-torch.xlogy(each, each).sum(-1).mean().item() / most for each in maps]
    auc = near = None
    if batch.instance_masks is not None and batch.instance_masks.any():
        instances = patch_instances(batch.instance_masks, view.grid)
        near = _nearness_auc(instances, view.grid)
        auc, near = (
            (_mean_auc(maps, instances, view.grid), near) if math.isfinite(near) else (None, None)
        )
    layers = dict(enumerate(teacher.layers))
    return TeacherHealth(
        n=len(batch),
        entropy={layers[at]: value for at, value in enumerate(entropy)},
        auc=None if auc is None else {layers[at]: value for at, value in enumerate(auc)},
        nearness=near,
    )


def _mean_auc(
    maps: list[torch.Tensor], instances: torch.Tensor, grid: tuple[int, int]
) -> list[float]:
    """Per layer, mean over heads and images."""
    return [
        float(value) for value in np.nanmean(object_scores(maps, instances, grid).auc, axis=(1, 2))
    ]


def _nearness_auc(instances: torch.Tensor, grid: tuple[int, int]) -> float:
    return _mean_auc([nearness(grid).expand(len(instances), -1, -1, -1)], instances, grid)[0]
