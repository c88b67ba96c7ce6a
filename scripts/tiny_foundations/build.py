"""The committed stand-ins, trained from nothing: a table of parts, each saved under its name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muse_core.data.batch import Source
from scripts.tiny_foundations.attention_teacher import train_attention_teacher
from scripts.tiny_foundations.autoencoder import train_autoencoder
from scripts.tiny_foundations.image_text import train_image_text
from scripts.tiny_foundations.scene_detector import train_scene_detector


@dataclass(frozen=True)
class Recipe:
    """How one part is made.

    Args:
        train: A source, steps, batch size and seed -> the part and its loss curve.
        save: Writes the part below a folder.
        steps: Of training.
        batch_size: Scenes a step.
        about: What goes on its card.
    """

    train: Callable[..., tuple[Any, list[float]]]
    save: Callable[[Any, Path], None]
    steps: int
    batch_size: int
    about: str


RECIPES = {
    "image_text": Recipe(
        train_image_text,
        lambda pair, folder: pair.save_pretrained(folder),
        3000,
        64,
        "InternVLVisionModel backbone and CLIP text tower, trained together: multi-positive "
        "InfoNCE on captions, cross-entropy on patch classes, and the outline inside each patch",
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
        "DINOv3ViTModel whose patch attention is SUPERVISED by scene masks (same object = attend), "
        "because object-like attention does not emerge from self-supervision at this size",
    ),
    "scene_detector": Recipe(
        train_scene_detector,
        lambda detector, folder: detector.save_pretrained(folder / "scene_detector"),
        1500,
        48,
        "a small convolutional detector of drawn shapes (8 px cells), the judge of generated "
        "images: it trains nothing",
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
        source, steps=steps or recipe.steps, batch_size=recipe.batch_size, seed=seed
    )
    recipe.save(made, folder)
    return losses
