"""Is a topology teacher's attention object-like at all? A degraded teacher misleads L_topo.

Two ways to fail: attention that looks everywhere alike, and attention that finds objects no better
than mere nearness."""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch

from muse_core.data.batch import Source
from muse_core.evaluation.attention.map_geometry import attention_entropy
from muse_core.evaluation.attention.object_alignment import (
    nearness_auc,
    object_mass,
    object_scores,
    patch_instances,
)
from muse_core.foundations.topology_teacher import TopologyTeacher, observe
from muse_core.losses.topology import Grid, resize_attention

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
    attention that knows only distance. ``mass``: per used layer, the share of an object's attention
    that stays on it, on the student's grid after Psi."""

    n: int
    entropy: dict[int, float]
    auc: dict[int, float] | None = None
    nearness: float | None = None
    mass: dict[int, float] | None = None

    @property
    def complaints(self) -> list[str]:
        """What is wrong, in sentences; empty for a healthy teacher."""
        found, focus = [], min(self.entropy.values())
        if focus > UNIFORM:
            found.append(
                f"The teacher's attention is nearly uniform on these images (entropy {focus:.1%} "
                "of its maximum in its most focused layer)."
            )
        best = max(self.auc.values()) if self.auc else math.inf
        if self.nearness is not None and best < self.nearness + MARGIN:
            found.append(
                f"The teacher's best layer finds objects with AUC {best:.2f}, no better than mere "
                f"nearness of patches ({self.nearness:.2f})."
            )
        return found

    @property
    def healthy(self) -> bool:
        return not self.complaints

    def __str__(self) -> str:
        if self.complaints:
            return (
                f"WARNING: {' '.join(self.complaints)} L_topo would teach the student this; choose "
                "another teacher or other layers."
            )
        focus = f"entropy {min(self.entropy.values()):.0%} of its maximum in the most focused layer"
        if self.auc is None:
            return (
                f"The teacher's attention is not uniform ({focus}); there are no instance masks to "
                "hold it against."
            )
        return (
            "The teacher's attention finds objects: same-object AUC up to "
            f"{max(self.auc.values()):.2f}, where mere nearness of patches gives "
            f"{self.nearness:.2f} ({focus}).{self._stays}"
        )

    @property
    def _stays(self) -> str:
        if self.mass is None:
            return ""
        most = max(self.mass.values())
        return f" On the student's grid up to {most:.0%} of an object's attention stays on it."


@torch.no_grad()
def teacher_health(
    teacher: TopologyTeacher, source: Source, n: int = 32, grid: Grid | None = None
) -> TeacherHealth:
    """Look at the attention of the used layers on the first ``n`` images of a split.

    ``grid``: the student's, on which ``mass`` is measured; None leaves it out.
    """
    batch, device = source.first(n), next(teacher.parameters()).device
    view = observe(teacher, batch.images.to(device))
    maps = [each.cpu().float() for each in view.attention]
    most = math.log(maps[0].shape[-1])
    entropy = attention_entropy(maps).mean((1, 2)) / most
    by_layer = lambda values: dict(zip(teacher.layers, values.tolist(), strict=True))
    health = TeacherHealth(len(batch), by_layer(entropy))
    if batch.instance_masks is None or not batch.instance_masks.any():
        return health
    instances = patch_instances(batch.instance_masks, view.grid)
    near = nearness_auc(instances, view.grid)
    if math.isnan(near):
        return health
    auc = np.nanmean(object_scores(maps, instances, view.grid)["auc"], axis=(1, 2))
    health = replace(health, auc=by_layer(auc), nearness=near)
    if grid is None:
        return health
    seen = [resize_attention(each, view.grid, grid) for each in maps]
    return replace(
        health, mass=by_layer(object_mass(seen, patch_instances(batch.instance_masks, grid)))
    )
