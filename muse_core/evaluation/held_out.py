"""A quick look at a tokenizer on images it has not seen: the three numbers that end each training
notebook.
"""

from dataclasses import dataclass

import torch

from muse_core.data.batch import Source
from muse_core.data.loader import evaluation_batches
from muse_core.evaluation.feature_extractors import eval_mode
from muse_core.evaluation.reconstruction.pixel_metrics import psnr
from muse_core.evaluation.understanding.zero_shot import (
    accuracy,
    class_embeddings,
    predicted_classes,
)
from muse_core.losses.fused_topology import fused_topology_loss
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.training.teachers import Targets, Teachers


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


def measure_held_out(
    tokenizer: MuseTokenizer,
    source: Source,
    teachers: Teachers,
    limit: int = 1000,
    split: str = "val",
) -> HeldOut:
    """Reconstruct, classify and compare attention on the first images of a split; modes stay as
    they are.

    Args:
        tokenizer: to measure.
        source: the split.
        teachers: the frozen networks it was trained with.
        limit: how many images, at most.
        split: the name of the split, for the record.
    """
    device, heads = next(tokenizer.parameters()).device, tokenizer.config.num_heads
    decibels, embeddings, labels, divergences = [], [], [], []
    with eval_mode(tokenizer):
        for batch in evaluation_batches(source, 100, limit):
            batch = batch.to(device)
            output = tokenizer(batch.images, with_attention=True)
            targets = Targets(teachers, batch, tokenizer.token_grid(batch.images), heads)
            divergence = fused_topology_loss(targets.attention, output.attention)
            decibels.append(psnr(output.reconstruction, batch.images))
            embeddings.append(output.embedding)
            labels.append(batch.labels)
            divergences.append(divergence * len(batch))
    truth, zero_shot, n = torch.cat(labels), None, sum(map(len, labels))
    if source.class_names and (truth >= 0).any():
        classes = class_embeddings(teachers.text, source)
        zero_shot = accuracy(predicted_classes(torch.cat(embeddings), classes), truth)
    return HeldOut(
        split=split,
        n=n,
        psnr=torch.cat(decibels).mean().item(),
        zero_shot=zero_shot,
        chance=1 / max(1, len(source.class_names)),
        topology=(torch.stack(divergences).sum() / n).item(),
    )
