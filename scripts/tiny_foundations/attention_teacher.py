"""The topology teacher's stand-in: a small DINOv3 whose patch attention is *supervised by scene
masks*.

DINOv3's object-like attention emerges from self-supervision at scale; at this size it does not
(`self_distillation` tries, and 00_foundations reports how far it gets). So this teacher is told:
each patch looks at the patches of its own object, near ones in the first layer that is used, all of
them in the last, and further from head to head; a patch of the ground looks around itself."""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn
from transformers import DINOv3ViTConfig

from muse_core.data.batch import Batch, Source
from muse_core.foundations.topology_teacher import DinoV3Teacher
from scripts.tiny_foundations.fitting import fit
from scripts.tiny_foundations.image_text import patch_classes

TEACHER = DINOv3ViTConfig(
    hidden_size=64,
    intermediate_size=192,
    num_hidden_layers=8,
    num_attention_heads=4,
    num_register_tokens=4,
    image_size=96,
    patch_size=8,
    initializer_range=0.08,
)
"""12 x 12 patches, against the tiny student's 8 x 8: the resizing Psi is really used."""
TEACHER_LAYERS = (2, 3, 4, 5, 6, 7)
MAX_INSTANCES = 4
NEAREST, FURTHEST = 0.8, 4.0
"""Reach of the first and the last used layer, in patches: the standard deviation of a Gaussian. An
object is three or four patches wide.
"""
HEAD_REACH = (0.6, 1.0, 1.5, 2.2)
"""Of each head, as a share of its layer's."""
FURTHEST_ON_GROUND = 2.5
"""The ground has no end: there a patch looks around itself, so far at most."""
EDGE = 0.1
"""Share of a patch that an object has to cover for the patch to look at it: Psi mixes neighbouring
rows, and those at an object's edge would else pull the student's towards the ground.
"""
SHARPNESS = 4
"""Power of the share that an object covers of a patch that is looked at."""


def object_attention(instance_masks: Tensor, grid: int, reach: Tensor) -> Tensor:
    """Target attention (..., batch, patches, patches): each patch looks at its object, as far as
    ``reach`` (...) patches go.
    """
    size = (grid * 8, grid * 8)
    masks = F.interpolate(instance_masks[:, None].float(), size, mode="nearest")[:, 0].long()
    shares = patch_classes(masks, grid, MAX_INSTANCES)
    most, who = shares[..., 1:].max(-1)
    own = torch.where(most > EDGE, who + 1, 0)
    looked_at = rearrange(shares**SHARPNESS, "b k i -> b i k")
    affinity = looked_at[torch.arange(len(own))[:, None], own]
    places = torch.cartesian_prod(torch.arange(grid), torch.arange(grid)).float()
    away = torch.cdist(places, places).square()
    near = lambda reach: torch.exp(-away / (2 * reach[..., None, None, None] ** 2))
    ground = near(reach.clamp(max=FURTHEST_ON_GROUND))
    target = affinity * torch.where((own > 0)[..., None], near(reach), ground)
    return target / target.sum(-1, keepdim=True).clamp_min(1e-9)


def reaches() -> Tensor:
    """(layers, heads), in patches."""
    layers = torch.logspace(math.log10(NEAREST), math.log10(FURTHEST), len(TEACHER_LAYERS))
    return layers[:, None] * torch.tensor(HEAD_REACH)


def train_attention_teacher(
    source: Source, *, steps: int, batch_size: int, seed: int
) -> tuple[DinoV3Teacher, list[float]]:
    """Train attention of the used layers against same-object targets, and features on patch
    classes.
    """
    torch.manual_seed(seed)
    teacher = DinoV3Teacher.from_config(TEACHER, TEACHER_LAYERS)
    num_classes = len(source.class_names) + 1
    dense = nn.Linear(TEACHER.hidden_size, num_classes)

    def loss_of(batch: Batch) -> Tensor:
        assert batch.instance_masks is not None and batch.class_masks is not None
        view = teacher(batch.images)
        grid = view.grid[0]
        targets = rearrange(
            object_attention(batch.instance_masks, grid, reaches()), "l h b q k -> l b h q k"
        )
        divergence = lambda target, seen: (
            torch.xlogy(target, target) - target * seen.clamp_min(1e-8).log()
        ).sum(-1)
        by_layer = [
            divergence(target, seen).mean()
            for target, seen in zip(targets, view.attention, strict=True)
        ]
        classes = F.interpolate(
            batch.class_masks[:, None].float(), (grid * 8, grid * 8), mode="nearest"
        )[:, 0].long()
        shares = patch_classes(classes, grid, num_classes)
        features = F.cross_entropy(
            rearrange(dense(view.features), "b n c -> b c n"), shares.transpose(1, 2)
        )
        return torch.stack(by_layer).mean() + 0.5 * features

    losses = fit(
        [*teacher.network.parameters(), *dense.parameters()],
        loss_of,
        source,
        steps=steps,
        batch_size=batch_size,
        learning_rate=1.5e-3,
        seed=seed,
        name="attention teacher",
    )
    return teacher, losses
