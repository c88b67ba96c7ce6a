"""How good the stand-ins are, measured on held-out scenes; the numbers on their card."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from muse_core.config.preset import Preset
from muse_core.data.batch import Source
from muse_core.data.loader import evaluation_batches
from muse_core.data.scenes import Scenes
from muse_core.errors import MuseError
from muse_core.evaluation.attention.teacher_health import teacher_health
from muse_core.evaluation.evaluate import evaluate
from muse_core.evaluation.generation.prompt_following import prompt_following
from muse_core.evaluation.protocol import open_protocol
from muse_core.evaluation.reconstruction.pixel_metrics import psnr
from muse_core.evaluation.run_rows import frozen_backbone
from muse_core.evaluation.understanding.zero_shot import (
    accuracy,
    class_embeddings,
    predicted_classes,
)
from muse_core.foundations.language_model import LanguageModel
from muse_core.foundations.pixel_decoder import load_autoencoder, reconstruct_with
from muse_core.foundations.scene_detector import load_scene_detector
from muse_core.foundations.text_tower import TextTower, text_embeddings
from muse_core.results.measurements import Row
from muse_core.results.records import provenance, read_json, write_json
from muse_core.training.teachers import Teachers
from scripts.tiny_foundations.build import RECIPES
from scripts.tiny_foundations.language_model import answered_from_words

PROBE_IMAGES, ITERATIONS = 2000, 150
"""Of the probes, whatever the preset of a run says: the card's figures do not depend on it."""
ASKED_ABOUT = 200
"""Scenes that the language model is asked about, nine questions each."""


@dataclass(frozen=True)
class FoundationQuality:
    """What the stand-ins reach on held-out images.

    Args:
        n: How many images.
        captions_named: Share of their captions that the text tower puts nearest to the prompts of
            their own shape.
        captions_confirmed: Share of the images whose whole caption the scene detector reads off
            them; None where no detector lies beside the backbone.
        zero_shot: Accuracy of the frozen backbone over shapes, by the text tower.
        linear_probe: Of the backbone's patches, mean over an image.
        miou: Of a linear head on the backbone's patches.
        psnr: dB (autoencoder).
        same_object_auc: Teacher layer -> ROC-AUC, mean over heads.
        object_mass: Teacher layer -> share of an object's attention that stays on it, after Psi.
        answers: Kind of question -> share that the language model answers exactly when it is told
            the scene in words; None where no language model lies beside the backbone.
    """

    n: int
    captions_named: float
    captions_confirmed: float | None
    zero_shot: float
    linear_probe: float
    miou: float
    psnr: float
    same_object_auc: dict[int, float]
    object_mass: dict[int, float]
    answers: dict[str, float] | None


@torch.no_grad()
def measure_foundations(
    preset: Preset, teachers: Teachers, train: Source, held_out: Source, n: int = 1000
) -> FoundationQuality:
    """Measure the parts; the teacher's attention on the first 128 images.

    Args:
        preset: Whose parts, and with how many images probes are fitted.
        teachers: Its frozen networks, loaded.
        train: What probes are fitted on.
        held_out: What all is measured on.
        n: How many of these, at most.

    Raises:
        MuseError: The scenes have no object that the teacher's attention could be held against.
    """
    protocol = replace(
        open_protocol(preset, train, held_out, teachers),
        n_test=n,
        n_train=PROBE_IMAGES,
        segmentation_steps=ITERATIONS,
    )
    backbone = frozen_backbone(preset, "cpu")
    row = evaluate(backbone, protocol).row
    side = preset.image_size // backbone.network.patch_size // preset.connector.unshuffle
    health = teacher_health(teachers.topology, held_out, 128, (side, side))
    if health.auc is None or health.mass is None:
        raise MuseError("These images have no objects: measure the foundations on scenes.")
    return FoundationQuality(
        n=min(n, len(held_out)),
        captions_named=_captions_named(teachers.text, held_out, n),
        captions_confirmed=_captions_confirmed(preset, held_out, n),
        **{name: _figure(row, name) for name in ("zero_shot", "linear_probe", "miou")},
        psnr=_psnr(preset.foundations.autoencoder, held_out, n),
        same_object_auc=health.auc,
        object_mass=health.mass,
        answers=_answers(preset, held_out, n),
    )


def _figure(row: Row, name: str) -> float:
    value = row.value(name)
    if value is None:
        why = row.measurements[name].protocol
        raise MuseError(f"The backbone's {name} cannot be measured ({why}): use other images.")
    return value


def _captions_named(tower: TextTower, source: Source, n: int) -> float:
    classes, batches = class_embeddings(tower, source), list(evaluation_batches(source, 100, n))
    captions = torch.cat([text_embeddings(tower, batch.captions) for batch in batches])
    labels = torch.cat([batch.labels for batch in batches])
    return accuracy(predicted_classes(captions, classes), labels)


def _captions_confirmed(preset: Preset, source: Source, n: int) -> float | None:
    folder = Path(preset.foundations.backbone).parent / "scene_detector"
    if not folder.is_dir():
        return None
    images = source.described().first(min(n, len(source)))
    followed = prompt_following(load_scene_detector(folder), images.images, images.captions)
    return followed["all"].value


def _answers(preset: Preset, source: Source, n: int) -> dict[str, float] | None:
    folder = Path(preset.foundations.backbone).parent / "language_model"
    if not folder.is_dir() or not isinstance(source, Scenes):
        return None
    model = LanguageModel.from_pretrained(folder)
    return answered_from_words(model, source, min(n, ASKED_ABOUT))


def _psnr(folder: str, source: Source, n: int) -> float:
    autoencoder = load_autoencoder(folder).eval()
    images = (batch.images for batch in evaluation_batches(source, 100, n))
    decibels = [psnr(reconstruct_with(autoencoder, batch), batch) for batch in images]
    return torch.cat(decibels).mean().item()


def write_card(
    folder: Path,
    quality: FoundationQuality | None,
    trained: dict[str, list[float]],
    seed: int,
    data: str,
) -> Path:
    """``card.json`` beside the weights: what each part is, how it was trained, how good it is.

    Args:
        folder: Where the parts lie.
        quality: As `measure_foundations` found it; None where parts are lacking yet.
        trained: Part -> loss curve, of the parts just trained; the card keeps the others' words.
        seed: They were trained with.
        data: Fingerprint of what they were trained on.
    """
    file = folder / "card.json"
    card = read_json(file) if file.exists() else {"parts": {}}
    card["parts"] = {part: card["parts"][part] for part in RECIPES if part in card["parts"]}
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
    measured = {} if quality is None else {"quality": asdict(quality)}
    return write_json(file, card | measured | {"provenance": asdict(provenance())})


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
