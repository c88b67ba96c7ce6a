"""A quick look at a tokenizer on images it has not seen: the three numbers that end each training
notebook.
"""

from dataclasses import dataclass

import torch

from muse_core.data.batch import Source
from muse_core.data.loader import evaluation_batches
from muse_core.evaluation.reconstruction.pixel_metrics import psnr
from muse_core.evaluation.understanding.zero_shot import (
    accuracy,
    class_embeddings,
    predicted_classes,
)
from muse_core.losses.fused_topology import fused_topology_loss
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.shapes import Embeddings, Labels
from muse_core.training.teachers import Teachers, targets_for


@dataclass(frozen=True)
class HeldOut:
    """``psnr`` in dB (mean over images), ``zero_shot`` top-1 over all classes, ``topology`` L_topo
    in nats, on ``n`` images.

    ``zero_shot`` is None for data without labels.
    """

    split: str
    n: int
    psnr: float
    zero_shot: float | None
    chance: float
    topology: float


@torch.no_grad()
def measure_held_out(
    tokenizer: MuseTokenizer,
    source: Source,
    teachers: Teachers,
    limit: int = 1000,
    split: str = "val",
) -> HeldOut:
    """Reconstruct, classify and compare attention on the first ``limit`` images of a split; leaves
    the mode as found.
    """
    was_training, device = tokenizer.training, next(tokenizer.parameters()).device
    tokenizer.eval()
    decibels, embeddings, labels, divergences = [], [], [], []
    for batch in evaluation_batches(source, 100, limit):
        batch = batch.to(device)
        output = tokenizer(batch.images, with_attention=True)
        targets = targets_for(
            teachers, batch, tokenizer.token_grid(batch.images), tokenizer.config.num_heads
        )
        decibels.append(psnr(output.reconstruction, batch.images))
        embeddings.append(output.embedding)
        labels.append(batch.labels)
        divergences.append(fused_topology_loss(targets.attention, output.attention) * len(batch))
    tokenizer.train(was_training)
    n = sum(map(len, decibels))
    return HeldOut(
        split=split,
        n=n,
        psnr=torch.cat(decibels).mean().item(),
        zero_shot=_zero_shot(torch.cat(embeddings), torch.cat(labels), source, teachers),
        chance=1 / max(1, len(source.class_names)),
        topology=(torch.stack(divergences).sum() / n).item(),
    )


def _zero_shot(
    embeddings: Embeddings, labels: Labels, source: Source, teachers: Teachers
) -> float | None:
    if not source.class_names or not (labels >= 0).any():
        return None
    return accuracy(predicted_classes(embeddings, class_embeddings(teachers.text, source)), labels)
