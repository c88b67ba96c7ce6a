"""Networks to time: random weights in the shapes of a preset, at the published size or reduced to
what a CPU can step.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    DINOv3ViTConfig,
    PreTrainedTokenizerFast,
)

from benchmarks.published import AUTOENCODER, BACKBONES, CLIP_TEXT, CLIP_TEXTS, INTERNVIT, TEACHERS
from muse_core.config.preset import Preset
from muse_core.config.presets import preset_named
from muse_core.data.scenes import Scenes
from muse_core.foundations.perceptual import TeacherFeatures
from muse_core.foundations.text_tower import TextTower
from muse_core.foundations.topology_teacher import DinoV3Teacher, spread_layers
from muse_core.models.assembly import new_tokenizer
from muse_core.training.teachers import Teachers
from muse_core.training.tokenizer_task import TokenizerTask


@dataclass(frozen=True)
class Size:
    """Configurations of the four pretrained parts, and the preset whose connector and curriculum
    stand between them.
    """

    name: str
    preset: Preset
    backbone: dict[str, Any]
    autoencoder: dict[str, Any]
    teacher: dict[str, Any]
    text: dict[str, Any]

    def at(self, image_size: int) -> "Size":
        """The same networks on images of another size, the teacher at that size too."""
        patch = self.teacher["patch_size"]
        return replace(
            self,
            preset=replace(self.preset, image_size=image_size),
            teacher=self.teacher | {"image_size": image_size // patch * patch},
        )


def published(name: str) -> Size:
    """muse-small, muse-1b or muse-3b as they are."""
    parts = BACKBONES[name], AUTOENCODER, TEACHERS[name], CLIP_TEXTS[name]
    return Size(name, preset_named(name), *parts)


def tiny_size() -> Size:
    """The embedded world's networks, by the configurations that lie beside their weights."""
    preset = preset_named("tiny")
    where = preset.foundations
    read = lambda folder: json.loads((Path(folder) / "config.json").read_text())
    names = ("backbone", "autoencoder", "teacher", "text_tower")
    backbone, autoencoder, teacher, text = (read(getattr(where, name)) for name in names)
    return Size("tiny", preset, backbone, autoencoder, teacher, text)


def reduced() -> Size:
    """muse-1b's layout for a CPU: ViT-S for backbone and teacher, a DC-AE of a quarter of the width
    and a third of the depth.
    """
    vit = dict(hidden_size=384, num_hidden_layers=12, intermediate_size=1536, num_attention_heads=8)
    narrow = tuple(width // 4 for width in AUTOENCODER["decoder_block_out_channels"])
    return Size(
        "reduced",
        preset_named("muse-1b"),
        INTERNVIT | vit,
        AUTOENCODER
        | dict(
            encoder_block_out_channels=narrow,
            decoder_block_out_channels=narrow,
            encoder_layers_per_block=(1,) * 6,
            decoder_layers_per_block=(1,) * 6,
        ),
        TEACHERS["muse-1b"] | vit,
        CLIP_TEXT
        | dict(
            vocab_size=1024,
            hidden_size=256,
            intermediate_size=1024,
            num_hidden_layers=4,
            num_attention_heads=4,
            bos_token_id=1,
            eos_token_id=2,
        ),
    )


def word_tokenizer() -> PreTrainedTokenizerFast:
    """Every word is the same unknown one: only how many there are costs time."""
    words = Tokenizer(WordLevel({"<pad>": 0, "<unk>": 1, "<end>": 2}, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", unk_token="<unk>", eos_token="<end>"
    )


def random_teachers(size: Size, device: torch.device | str) -> Teachers:
    """Frozen networks with random weights."""
    config = DINOv3ViTConfig(**size.teacher)
    layers = spread_layers(config.num_hidden_layers, size.preset.connector.num_blocks)
    topology = DinoV3Teacher.from_config(config, layers).requires_grad_(False).to(device)
    text = TextTower(CLIPTextModelWithProjection(CLIPTextConfig(**size.text)), word_tokenizer())
    return Teachers(
        topology, text.eval().requires_grad_(False).to(device), TeacherFeatures(topology)
    )


def random_trainer(
    size: Size, stage: str, accelerator: Accelerator, routing: str = "orthogonal"
) -> TokenizerTask:
    """About to train one stage; ``stage`` by its first characters, e.g. "03"."""
    torch.manual_seed(0)
    tokenizer = new_tokenizer(
        replace(size.preset, routing=routing),
        size.backbone,
        size.autoencoder,
        size.text["projection_dim"],
    )
    (chosen,) = [each for each in size.preset.curriculum if each.name.startswith(stage)]
    teachers = random_teachers(size, accelerator.device)
    return TokenizerTask(tokenizer, chosen, teachers, None, accelerator)


def scenes(size: Size, batch_size: int, device: torch.device | str):
    """A batch of drawn scenes at the size's resolution."""
    return Scenes("train", size.preset.image_size).first(batch_size).to(device)


SIZES: dict[str, Callable[[], Size]] = {
    "reduced": reduced,
    "muse-small": partial(published, "muse-small"),
    "muse-1b": partial(published, "muse-1b"),
    "muse-3b": partial(published, "muse-3b"),
}
