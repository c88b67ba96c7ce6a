"""The committed stand-ins, trained from nothing: a table of parts, each saved under its name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from muse_core.data.batch import Source
from muse_core.foundations.text_tower import TextTower
from scripts.tiny_foundations.attention_teacher import train_attention_teacher
from scripts.tiny_foundations.autoencoder import train_autoencoder
from scripts.tiny_foundations.backbone import train_backbone
from scripts.tiny_foundations.language_model import train_language_model
from scripts.tiny_foundations.scene_detector import train_scene_detector
from scripts.tiny_foundations.text_tower import train_text_tower


@dataclass(frozen=True)
class Recipe:
    """How one part is made.

    Args:
        train: A source, steps, batch size and seed -> the part and its loss curve.
        save: Writes the part below a folder.
        steps: Of training.
        batch_size: Scenes a step.
        about: What goes on its card.
        given: Parts that have to be there, by the keyword under which ``train`` takes them.
    """

    train: Callable[..., tuple[Any, list[float]]]
    save: Callable[[Any, Path], None]
    steps: int
    batch_size: int
    about: str
    given: Mapping[str, Callable[[Path], Any]] = field(default_factory=dict)


RECIPES = {
    "text_tower": Recipe(
        train_text_tower,
        lambda pair, folder: pair.save_texts(folder),
        3000,
        64,
        "CLIPTextModel, trained with an image tower that is dropped: multi-positive InfoNCE on "
        "captions; the image tower also on patch classes and the outline inside each patch",
    ),
    "backbone": Recipe(
        train_backbone,
        lambda pair, folder: pair.save_images(folder),
        # Twice as many leave nothing to gain: 98 % zero-shot (reports/LOG.md).
        1300,
        64,
        "InternVLVisionModel, on captions ALONE: InfoNCE against the frozen text tower, and the "
        "bag of words of thorough captions",
        {"text_tower": lambda folder: TextTower.from_pretrained(folder / "text_tower")},
    ),
    "autoencoder": Recipe(
        train_autoencoder,
        lambda network, folder: network.save_pretrained(folder / "autoencoder"),
        1500,
        24,
        "AutoencoderDC, L1 + 5 x L2 on pixels",
    ),
    "teacher": Recipe(
        train_attention_teacher,
        lambda teacher, folder: teacher.network.save_pretrained(folder / "teacher"),
        900,
        32,
        "DINOv3ViTModel whose patch attention is SUPERVISED by scene masks (same object = attend; "
        "from near in the first used layer to the whole object in the last), because object-like "
        "attention does not emerge from self-supervision at this size",
    ),
    "scene_detector": Recipe(
        train_scene_detector,
        lambda detector, folder: detector.save_pretrained(folder / "scene_detector"),
        1500,
        48,
        "a small convolutional detector of drawn shapes (8 px cells), the judge of generated "
        "images: it trains nothing",
    ),
    "language_model": Recipe(
        train_language_model,
        lambda model, folder: model.save_pretrained(folder / "language_model"),
        3000,
        32,
        "Qwen2ForCausalLM that reads and answers, on TEXT ALONE: scenes told cell by cell in "
        "words, nine kinds of questions about them, captions, and facts that no picture tells",
    ),
}

SELF_DISTILLATION_STEPS = 500


def build(part: str, folder: Path, source: Source, seed: int = 0, steps: int = 0) -> list[float]:
    """Train one part and save it.

    Args:
        part: A name of `RECIPES`.
        folder: Where all parts lie, each below its own name.
        source: Scenes to train on.
        seed: Of initialisation and data order.
        steps: 0 means the recipe's.

    Returns:
        The loss of every step.

    Raises:
        MuseError: Training diverged.
    """
    recipe = RECIPES[part]
    folder.mkdir(parents=True, exist_ok=True)
    made, losses = recipe.train(
        source,
        steps=steps or recipe.steps,
        batch_size=recipe.batch_size,
        seed=seed,
        **{name: load(folder) for name, load in recipe.given.items()},
    )
    recipe.save(made, folder)
    return losses
