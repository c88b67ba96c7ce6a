"""Does attention find objects? Patches of the same object against patches of different ones."""

import torch
import torch.nn.functional as F
from einops import reduce
from sklearn.metrics import roc_auc_score
from torch import Tensor

from muse_core.shapes import AttentionMaps, Float, Int, Masks


def patch_instances(instance_masks: Masks, grid: tuple[int, int]) -> Int[Tensor, "batch patches"]:
    """The instance that covers most of each patch (0 = background); the mask is resized to whole patches if need be."""
    rows, columns = grid
    cell = max(1, round(instance_masks.shape[-1] / columns))
    size = (rows * cell, columns * cell)
    masks = F.interpolate(instance_masks[:, None].float(), size, mode="nearest-exact")[:, 0].long()
    shares = F.one_hot(masks).float()
    return reduce(shares, "b (h p) (w q) k -> b (h w) k", "mean", h=rows, w=columns).argmax(-1)


def same_object_auc(attention: AttentionMaps, instances: Int[Tensor, "batch patches"]) -> Float[Tensor, " heads"]:
    """ROC-AUC, per head, of attention as a score for "key lies on the query's object".

    Queries are all patches on objects; a patch is not compared with itself. 0.5 is chance.
    """
    same = instances[:, :, None] == instances[:, None]
    counted = (instances > 0)[:, :, None] & ~torch.eye(instances.shape[1], dtype=torch.bool)
    truth = same[counted].numpy()
    scores = [roc_auc_score(truth, attention[:, head][counted].float().numpy()) for head in range(attention.shape[1])]
    return torch.tensor(scores)
