"""How good the stand-ins are, measured on held-out scenes; the numbers on their card."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from muse_core.data.batch import Source
from muse_core.data.loader import evaluation_batches
from muse_core.evaluation.attention.object_alignment import patch_instances, same_object
from muse_core.evaluation.reconstruction.pixel_metrics import psnr
from muse_core.evaluation.understanding.zero_shot import (
    accuracy,
    class_embeddings,
    predicted_classes,
)
from muse_core.foundations.pixel_decoder import load_autoencoder, reconstruct_with
from muse_core.foundations.topology_teacher import TopologyTeacher, observe
from muse_core.results.records import provenance, read_json, write_json
from scripts.tiny_foundations.build import RECIPES
from scripts.tiny_foundations.image_text import ImageTextPair


@dataclass(frozen=True)
class FoundationQuality:
    """What the stand-ins reach on held-out images.

    Args:
        n: How many images.
        zero_shot: Accuracy over shapes (backbone and text tower).
        psnr: dB (autoencoder).
        same_object_auc: Teacher layer -> ROC-AUC, mean over heads.
    """

    n: int
    zero_shot: float
    psnr: float
    same_object_auc: dict[int, float]


@torch.no_grad()
def measure_foundations(
    folder: Path, teacher: TopologyTeacher, source: Source, n: int = 1000
) -> FoundationQuality:
    """Measure the three parts; the attention on the first 128 images, as AUC sorts all patch pairs.

    Args:
        folder: Where the parts lie.
        teacher: The topology teacher, loaded.
        source: Held-out scenes.
        n: How many of them, at most.
    """
    return FoundationQuality(
        n=min(n, len(source)),
        zero_shot=_zero_shot(ImageTextPair.from_pretrained(folder), source, n),
        psnr=_psnr(folder / "autoencoder", source, n),
        same_object_auc=teacher_auc(teacher, source),
    )


def _zero_shot(pair: ImageTextPair, source: Source, n: int) -> float:
    classes = class_embeddings(pair.text_tower, source)
    batches = list(evaluation_batches(source, 100, n))
    predicted = torch.cat(
        [predicted_classes(pair.embed(batch.images), classes) for batch in batches]
    )
    return accuracy(predicted, torch.cat([batch.labels for batch in batches]))


def _psnr(folder: Path, source: Source, n: int) -> float:
    autoencoder = load_autoencoder(folder).eval()
    images = (batch.images for batch in evaluation_batches(source, 100, n))
    decibels = [psnr(reconstruct_with(autoencoder, batch), batch) for batch in images]
    return torch.cat(decibels).mean().item()


def teacher_auc(teacher: TopologyTeacher, source: Source, n: int = 128) -> dict[int, float]:
    """Same-object ROC-AUC of each used layer, mean over its heads."""
    batch = source.first(n)
    assert batch.instance_masks is not None
    view = observe(teacher, batch.images)
    same, counted = same_object(patch_instances(batch.instance_masks, view.grid))
    truth = same[counted].numpy()
    found = {}
    for layer, maps in zip(teacher.layers, view.attention, strict=True):
        areas = [roc_auc_score(truth, head[counted].numpy()) for head in maps.unbind(1)]
        found[layer] = float(np.mean(areas))
    return found


def write_card(
    folder: Path, quality: FoundationQuality, trained: dict[str, list[float]], seed: int, data: str
) -> Path:
    """``card.json`` beside the weights: what each part is, how it was trained, how good it is.

    Args:
        folder: Where the parts lie.
        quality: As `measure_foundations` found it.
        trained: Part -> loss curve, of the parts just trained; the card keeps the others' words.
        seed: They were trained with.
        data: Fingerprint of what they were trained on.
    """
    file = folder / "card.json"
    card = read_json(file) if file.exists() else {"parts": {}}
    for part, losses in trained.items():
        recipe = RECIPES[part]
        card["parts"][part] = {
            "about": recipe.about,
            "steps": len(losses),
            "batch_size": recipe.batch_size,
            "seed": seed,
            "data": data,
            "loss_first": losses[0],
            "loss_last_100": sum(losses[-100:]) / len(losses[-100:]),
        }
    return write_json(file, card | {"quality": asdict(quality), "provenance": asdict(provenance())})


def write_self_distillation(folder: Path, auc: dict[int, float], losses: list[float]) -> Path:
    """Add to the card how far self-distillation got."""
    card = read_json(folder / "card.json")
    note = {
        "steps": len(losses),
        "loss_first": losses[0],
        "loss_last": losses[-1],
        "same_object_auc": auc,
    }
    return write_json(folder / "card.json", card | {"self_distillation": note})
