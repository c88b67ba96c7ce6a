"""Does attention find objects? Measured image by image, for every layer and head of a student or a
teacher.

AUC: attention as a score for "this key lies on the query's object". IoU and pointing: where one
seed token per object looks, against the object's mask."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from einops import reduce
from scipy.stats import rankdata
from torch import Tensor

from muse_core.losses.topology import Grid
from muse_core.shapes import AttentionMaps, Float, Int, Masks

Instances = Int[Tensor, "batch patches"]


def patch_instances(instance_masks: Masks, grid: Grid) -> Instances:
    """The instance that covers most of each patch (0 = background); the mask is resized to whole
    patches if need be.
    """
    rows, columns = grid
    cell = max(1, round(instance_masks.shape[-1] / columns))
    size = (rows * cell, columns * cell)
    masks = F.interpolate(instance_masks[:, None].float(), size, mode="nearest-exact")[:, 0].long()
    shares = F.one_hot(masks).float()
    return reduce(shares, "b (h p) (w q) k -> b (h w) k", "mean", h=rows, w=columns).argmax(-1)


def same_object(instances: Instances) -> tuple[Tensor, Tensor]:
    """Which pairs of patches the AUC is about, both (batch, queries, keys).

    Returns:
        Whether query and key lie on one object; and whether the pair counts: its query lies on an
        object, and a patch is not compared with itself.
    """
    same = instances[:, :, None] == instances[:, None]
    counted = (instances > 0)[:, :, None] & ~torch.eye(instances.shape[1], dtype=torch.bool)
    return same, counted


def nearness(grid: Grid) -> Tensor:
    """Attention (1, 1, patches, patches) that knows only how near two patches are: what an
    alignment score has to beat.
    """
    rows, columns = grid
    places = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).float()
    return torch.softmax(-torch.cdist(places, places), dim=-1)[None, None]


def nearness_auc(instances: Instances, grid: Grid) -> float:
    """Same-object AUC of attention by nearness alone, mean over images; NaN where none has one."""
    blind = nearness(grid).expand(len(instances), -1, -1, -1)
    auc = object_scores([blind], instances, grid)["auc"]
    return float(np.nanmean(auc)) if np.isfinite(auc).any() else np.nan


def object_scores(
    maps: Sequence[AttentionMaps], instances: Instances, grid: Grid
) -> dict[str, np.ndarray]:
    """Scores of attention against the objects of the images.

    Args:
        maps: probabilities (batch, heads, queries, keys), one map a layer.
        instances: the object under each patch (batch, patches), 0 for none.
        grid: rows and columns of the patches.

    Returns:
        ``auc``, ``iou`` and ``pointing``, each (layers, heads, batch): NaN for an image without an
        object, or all object.
    """
    attention = torch.stack([each.float() for each in maps], dim=1)
    shape = (len(maps), attention.shape[2], len(instances))
    found = {name: np.full(shape, np.nan) for name in ("auc", "iou", "pointing")}
    truth, counted = same_object(instances)
    for image, layers in enumerate(attention):
        same = truth[image][counted[image]].numpy()
        if same.any() and not same.all():
            found["auc"][:, :, image] = _auc(layers[:, :, counted[image]].numpy(), same)
        objects, seeds = _seeds(instances[image], grid)
        if len(seeds):
            iou, pointing = _seed_scores(layers[:, :, seeds], objects, seeds)
            found["iou"][:, :, image], found["pointing"][:, :, image] = iou, pointing
    return found


def object_mass(maps: Sequence[AttentionMaps], instances: Instances) -> Float[Tensor, " layers"]:
    """The share of attention that patches on an object give to patches of that object, a layer.

    Args:
        maps: As in `object_scores`.
        instances: As in `object_scores`.
    """
    same = (instances[:, :, None] == instances[:, None])[:, None]
    return torch.stack(
        [(attention * same).sum(-1).transpose(1, 2)[instances > 0].mean() for attention in maps]
    )


def _auc(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """ROC-AUC along the last axis: Mann and Whitney's U, the number of pairs in the right order, as
    a share of all. (One sort for all layers and heads; scikit-learn's takes one of them at a time.)
    """
    positives = truth.sum()
    ordered = rankdata(scores, axis=-1)[..., truth].sum(-1) - positives * (positives + 1) / 2
    return ordered / (positives * (len(truth) - positives))


def _seeds(instances: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """Masks (objects, patches) of objects of two patches or more, and the patch of each nearest to
    its middle.
    """
    places = torch.cartesian_prod(torch.arange(grid[0]), torch.arange(grid[1])).float()
    masks = [mask for one in instances.unique() if one > 0 and (mask := instances == one).sum() > 1]
    seeds = []
    for mask in masks:
        inside = mask.nonzero()[:, 0]
        away = (places[inside] - places[inside].mean(0)).norm(dim=-1)
        seeds.append(inside[away.argmin()])
    return (torch.stack(masks), torch.stack(seeds)) if masks else (torch.empty(0), torch.empty(0))


def _seed_scores(rows: Tensor, objects: Tensor, seeds: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """IoU of each seed's k strongest patches with its object of k patches, and whether the
    strongest other patch lies on the object: means over objects, (layers, heads). ``rows`` (layers,
    heads, objects, patches)."""
    picked = torch.zeros_like(rows, dtype=torch.bool)
    for at, mask in enumerate(objects):
        picked[:, :, at].scatter_(-1, rows[:, :, at].topk(int(mask.sum())).indices, True)
    overlap = (picked & objects).sum(-1).double() / (picked | objects).sum(-1)
    itself = seeds[:, None].expand(*rows.shape[:3], 1)
    strongest = rows.scatter(-1, itself, -1.0).argmax(-1, keepdim=True)
    hit = objects.expand_as(rows).gather(-1, strongest)[..., 0]
    return overlap.mean(-1).numpy(), hit.float().mean(-1).numpy()
