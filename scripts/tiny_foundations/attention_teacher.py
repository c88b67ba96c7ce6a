"""The topology teacher's stand-in: a small DINOv3 whose patch attention is *supervised by scene
masks*.

DINOv3's object-like attention emerges from self-supervision at scale; at this size it does not
(`self_distillation` tries, and 00_foundations reports how far it gets). So this teacher is told:
each patch looks at the patches of its own object."""

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


def same_object_attention(instance_masks: Tensor, grid: int) -> Tensor:
    """Target attention (batch, patches, patches): each patch spreads over the patches of its
    object, by coverage.
    """
    masks = F.interpolate(instance_masks[:, None].float(), (grid * 8, grid * 8), mode="nearest")[
        :, 0
    ].long()
    shares = patch_classes(masks, grid, MAX_INSTANCES)
    affinity = shares @ shares.transpose(1, 2)
    return affinity / affinity.sum(-1, keepdim=True)


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
        target = same_object_attention(batch.instance_masks, grid)[:, None]
        by_layer = [
            (target * (target.clamp_min(1e-8).log() - m.clamp_min(1e-8).log())).sum(-1)
            for m in view.attention
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
