"""The profile of one network's attention, layer by layer and head by head: reach, spread, objects,
nearness to the teacher.
"""

import numpy as np

from muse_core.evaluation.attention.map_geometry import attention_distance, attention_entropy
from muse_core.evaluation.attention.object_alignment import object_scores, patch_instances
from muse_core.evaluation.attention.student_teacher import teacher_scores
from muse_core.figures.explorer import AttentionView
from muse_core.losses.topology import group_heads
from muse_core.results.measurements import AttentionProfile
from muse_core.shapes import Masks


def attention_profile(
    view: AttentionView, instance_masks: Masks | None = None, targets: AttentionView | None = None
) -> AttentionProfile:
    """Means over images, as tables (layers, heads).

    Args:
        view: the attention to measure.
        instance_masks: objects in pixels (batch, height, width), 0 for none.
        targets: the teacher on the student's grid; a view with more heads is averaged to its.
    """
    maps = view.maps.unbind(1)
    found = {
        "distance": attention_distance(maps, view.grid).numpy(),
        "entropy": attention_entropy(maps).numpy(),
    }
    if instance_masks is not None and instance_masks.any():
        found |= object_scores(maps, patch_instances(instance_masks, view.grid), view.grid)
    if targets is not None and _comparable(view, targets):
        own = [group_heads(each, targets.maps.shape[2]) for each in maps]
        found |= teacher_scores(targets.maps.unbind(1), own)
    tables = {name: _means(values) for name, values in found.items()}
    return AttentionProfile(name=view.name, role=view.role, grid=view.grid, **tables)


def _comparable(view: AttentionView, targets: AttentionView) -> bool:
    """As many layers, on one grid, and heads enough."""
    (_, layers, heads, *_), (_, true_layers, true_heads, *_) = view.maps.shape, targets.maps.shape
    return view.grid == targets.grid and layers == true_layers and heads % true_heads == 0


def _means(values: np.ndarray) -> list[list[float]]:
    """(layers, heads, images) -> means over the images that have a value, NaN where none has."""
    return np.ma.masked_invalid(values.astype(float)).mean(-1).filled(np.nan).tolist()
