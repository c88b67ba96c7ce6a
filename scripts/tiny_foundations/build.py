"""The committed stand-ins, trained from nothing: a table of parts, each saved under its
own name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from muse_core.data.batch import Source
from muse_core.data.scenes import Scenes
from scripts.tiny_foundations.attention_teacher import train_attention_teacher
from scripts.tiny_foundations.autoencoder import train_autoencoder
from scripts.tiny_foundations.image_text import train_image_text
from scripts.tiny_foundations.scene_detector import train_scene_detector


@dataclass(frozen=True)
class Recipe:
    """How one part is trained; ``about`` goes on its card."""

    train: Callable[..., list[float]]
    steps: int
    batch_size: int
    about: str


def _image_text(folder: Path, source: Source, **options) -> list[float]:
    pair, losses = train_image_text(source, **options)
    pair.save_pretrained(folder)
    return losses


def _autoencoder(folder: Path, source: Source, **options) -> list[float]:
    autoencoder, losses = train_autoencoder(source, **options)
    autoencoder.save_pretrained(folder / "autoencoder")
    return losses


def _teacher(folder: Path, source: Source, **options) -> list[float]:
    teacher, losses = train_attention_teacher(source, **options)
    teacher.network.save_pretrained(folder / "teacher")
    return losses


def _scene_detector(folder: Path, source: Source, **options) -> list[float]:
    assert isinstance(source, Scenes)
    detector, losses = train_scene_detector(source, **options)
    detector.save_pretrained(folder / "scene_detector")
    return losses


RECIPES = {
    "image_text": Recipe(
        _image_text,
        3000,
        64,
        "InternVLVisionModel backbone and CLIP text tower, trained together: multi-positive "
        "InfoNCE on captions, "
        "cross-entropy on patch classes, and the outline inside each patch",
    ),
    "autoencoder": Recipe(_autoencoder, 1500, 24, "AutoencoderDC, L1 + 5 x L2 on pixels"),
    "teacher": Recipe(
        _teacher,
        900,
        32,
        "DINOv3ViTModel whose patch attention is SUPERVISED by scene masks (same object = attend), "
        "because object-like attention does not emerge from self-supervision at this size",
    ),
    "scene_detector": Recipe(
        _scene_detector,
        1500,
        48,
        "a small convolutional detector of drawn shapes (8 px cells), the judge of generated "
        "images: it trains nothing",
    ),
}


SELF_DISTILLATION_STEPS = 500


def build(part: str, folder: Path, source: Source, seed: int = 0, steps: int = 0) -> list[float]:
    """Train one part and save it under ``folder``; ``steps`` 0 means the recipe's. Returns its loss
    curve.
    """
    recipe = RECIPES[part]
    folder.mkdir(parents=True, exist_ok=True)
    return recipe.train(
        folder, source, steps=steps or recipe.steps, batch_size=recipe.batch_size, seed=seed
    )
