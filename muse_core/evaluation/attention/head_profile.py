"""The profile of one network's attention, layer by layer and head by head: reach, spread, objects,
nearness to the teacher.
"""

import numpy as np

from muse_core.evaluation.attention.map_geometry import attention_distance, attention_entropy
from muse_core.evaluation.attention.object_alignment import (
    nearness,
    object_scores,
    patch_instances,
    rank_correlation,
)
from muse_core.evaluation.attention.run_attention import AttentionView, compared_heads
from muse_core.evaluation.attention.student_teacher import divergence_of_maps
from muse_core.results.measurements import AttentionProfile
from muse_core.shapes import Masks


def attention_profile(
    view: AttentionView, instance_masks: Masks | None = None, targets: AttentionView | None = None
) -> AttentionProfile:
    """Means over images. Objects need ``instance_masks`` (in pixels); ``targets`` is the teacher on
    the student's grid.

    Scores against objects and teacher are those of `attention_alignment` and `divergence_of_maps`,
    as in the evaluation."""
    maps = view.maps.unbind(1)
    objects = teacher = {}
    if instance_masks is not None and instance_masks.any():
        scores = object_scores(maps, patch_instances(instance_masks, view.grid), view.grid)
        objects = {name: _table(getattr(scores, name)) for name in ("auc", "iou", "pointing")}
    if targets is not None and _comparable(view, targets):
        teacher = _against(view, targets)
    return AttentionProfile(
        name=view.name,
        role=view.role,
        grid=view.grid,
        distance=_table(attention_distance(maps, view.grid).numpy()),
        entropy=_table(attention_entropy(maps).numpy()),
        **objects,
        **teacher,
    )


def nearness_auc(instance_masks: Masks, grid: tuple[int, int]) -> float:
    """Same-object AUC of attention that knows only how near two patches are: the score to beat."""
    instances = patch_instances(instance_masks, grid)
    blind = nearness(grid).expand(len(instances), -1, -1, -1)
    return float(np.nanmean(object_scores([blind], instances, grid).auc))


def _comparable(view: AttentionView, targets: AttentionView) -> bool:
    """As many layers, on one grid, and heads enough."""
    (_, layers, heads, *_), (_, true_layers, true_heads, *_) = view.maps.shape, targets.maps.shape
    return view.grid == targets.grid and layers == true_layers and heads % true_heads == 0


def _against(view: AttentionView, targets: AttentionView) -> dict[str, list[list[float]]]:
    """KL(teacher || student) in nats and Spearman correlation of rows, in as many heads as the
    targets have.
    """
    true, own = targets.maps.unbind(1), compared_heads(view, targets.maps.shape[2]).maps.unbind(1)
    kl = [divergence_of_maps(t, s).mean((0, 2)) for t, s in zip(true, own, strict=True)]
    return {
        "kl": [[float(value) for value in heads] for heads in kl],
        "rank": _table(rank_correlation(true, own)),
    }


def _table(values: np.ndarray) -> list[list[float]]:
    """(layers, heads, images) -> means over the images that have a value."""
    with np.errstate(invalid="ignore"):
        counted = np.isfinite(values).sum(-1)
        return (np.nansum(values, -1) / np.where(counted, counted, np.nan)).tolist()
