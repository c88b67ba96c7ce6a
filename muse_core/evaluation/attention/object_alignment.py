"""Does attention find objects? Measured image by image, for every layer and head of a student or a
teacher.

AUC: attention as a score for "this key lies on the query's object". IoU and pointing: where one
seed token per object looks, against the object's mask. KL and rank correlation: student against
teacher, row by row."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from scipy.stats import pearsonr, rankdata
from sklearn.metrics import jaccard_score
from torch import Tensor

from muse_core.shapes import AttentionMaps, Float, Int, Masks

Instances = Int[Tensor, "batch patches"]


@dataclass(frozen=True)
class ObjectScores:
    """Arrays (layers, heads, images): NaN for an image without an object, or all object."""

    auc: np.ndarray
    iou: np.ndarray
    pointing: np.ndarray


def patch_instances(instance_masks: Masks, grid: tuple[int, int]) -> Instances:
    """The instance that covers most of each patch (0 = background); the mask is resized to whole
    patches if need be.
    """
    rows, columns = grid
    cell = max(1, round(instance_masks.shape[-1] / columns))
    size = (rows * cell, columns * cell)
    masks = F.interpolate(instance_masks[:, None].float(), size, mode="nearest-exact")[:, 0].long()
    shares = F.one_hot(masks).float()
    return reduce(shares, "b (h p) (w q) k -> b (h w) k", "mean", h=rows, w=columns).argmax(-1)


def same_object_auc(attention: AttentionMaps, instances: Instances) -> Float[Tensor, " heads"]:
    """ROC-AUC, per head, of attention as a score for "key lies on the query's object", all images
    pooled.

    Queries are all patches on objects; a patch is not compared with itself. 0.5 is chance.
    """
    truth, counted = _pairs(instances)
    scores = attention.transpose(0, 1)[:, counted].float().numpy()
    return torch.from_numpy(_auc(scores, truth[counted].numpy())).float()


def _pairs(instances: Instances) -> tuple[Tensor, Tensor]:
    """(same object?, does this pair count?), both (batch, queries, keys)."""
    same = instances[:, :, None] == instances[:, None]
    counted = (instances > 0)[:, :, None] & ~torch.eye(instances.shape[1], dtype=torch.bool)
    return same, counted


def nearness(grid: tuple[int, int]) -> Tensor:
    """Attention (1, 1, patches, patches) that knows only how near two patches are: what an
    alignment score has to beat.
    """
    rows, columns = grid
    places = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).float()
    return torch.softmax(-torch.cdist(places, places), dim=-1)[None, None]


def object_scores(
    maps: Sequence[AttentionMaps], instances: Instances, grid: tuple[int, int]
) -> ObjectScores:
    """Scores of attention maps (one a layer, probabilities) against the instance under each patch."""
    attention = torch.stack([each.float() for each in maps], dim=1)
    shape = (len(maps), attention.shape[2], len(instances))
    found = ObjectScores(*(np.full(shape, np.nan) for _ in range(3)))
    truth, counted = _pairs(instances)
    for image in range(len(instances)):
        same, pairs = (
            truth[image][counted[image]].numpy(),
            attention[image][:, :, counted[image]].numpy(),
        )
        if same.any() and not same.all():
            found.auc[:, :, image] = _auc(pairs, same)
        objects, seeds = _seeds(instances[image], grid)
        if len(seeds):
            found.iou[:, :, image], found.pointing[:, :, image] = _seed_scores(
                attention[image][:, :, seeds], objects, seeds
            )
    return found


def _auc(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """ROC-AUC along the last axis: Mann and Whitney's U, the number of pairs in the right order, as
    a share of all.
    """
    positives = truth.sum()
    ordered = rankdata(scores, axis=-1)[..., truth].sum(-1) - positives * (positives + 1) / 2
    return ordered / (positives * (len(truth) - positives))


def _seeds(instances: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Masks (objects, patches) of objects of two patches or more, and the patch of each nearest to
    its middle.
    """
    places = torch.cartesian_prod(torch.arange(grid[0]), torch.arange(grid[1])).float()
    masks = [
        instances == one for one in instances.unique() if one > 0 and (instances == one).sum() > 1
    ]
    if not masks:
        return torch.empty(0, len(instances), dtype=torch.bool), torch.empty(0, dtype=torch.long)
    objects = torch.stack(masks)
    seeds = []
    for mask in objects:
        inside = mask.nonzero()[:, 0]
        away = (places[inside] - places[inside].mean(0)).norm(dim=-1)
        seeds.append(inside[away.argmin()])
    return objects, torch.stack(seeds)


def _seed_scores(rows: Tensor, objects: Tensor, seeds: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """IoU of each seed's k strongest patches with its object of k patches, and whether the
    strongest other patch lies on the object: means over objects, (layers, heads). ``rows`` (layers,
    heads, objects, patches)."""
    picked = torch.zeros_like(rows, dtype=torch.bool)
    for at, mask in enumerate(objects):
        picked[:, :, at].scatter_(-1, rows[:, :, at].topk(int(mask.sum())).indices, True)
    truth = objects.expand_as(picked)
    beside = np.ones(
        (objects.shape[1], 1), dtype=bool
    )  # a single column would be read as two classes, not as one label
    columns = [
        np.hstack([rearrange(each, "l h o p -> p (l h o)").numpy(), beside])
        for each in (truth, picked)
    ]
    overlap = np.reshape(jaccard_score(*columns, average=None)[:-1], picked.shape[:3])
    strongest = rows.scatter(
        -1, seeds[None, None, :, None].expand(*rows.shape[:3], 1), -1.0
    ).argmax(-1, keepdim=True)
    return overlap.mean(-1), truth.gather(-1, strongest)[..., 0].float().mean(-1).numpy()


def rank_correlation(
    teacher: Sequence[AttentionMaps], student: Sequence[AttentionMaps]
) -> Float[np.ndarray, "layers heads batch"]:
    """Spearman correlation of each row of the student's map with the teacher's, mean over queries."""
    found = []
    for true, own in zip(teacher, student, strict=True):
        ranks = [rankdata(each.float().numpy(), axis=-1) for each in (true, own)]
        rows = pearsonr(*ranks, axis=-1).statistic
        found.append(rearrange(np.nan_to_num(rows).mean(-1), "batch heads -> heads batch"))
    return np.stack(found)
