"""``micro``: the whole pipeline at a size that trains a stage in a second. Random foundations, 32
px scenes, six steps.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml
from diffusers import AutoencoderDC
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, DINOv3ViTConfig

from muse_core import paths
from muse_core.callback import Callback
from muse_core.config.overrides import load_preset, shorthand
from muse_core.config.preset import Preset
from muse_core.data.scenes import Scenes
from muse_core.foundations.backbone import Backbone
from muse_core.foundations.text_tower import TextTower
from muse_core.foundations.topology_teacher import DinoV3Teacher
from muse_core.training.stage_run import StageRun
from scripts.tiny_foundations.image_text import train_tokenizer

IMAGE_SIZE = 32
STAGES = ("01_topology_warmup", "02_semantic_injection", "03_synergistic_tuning")
BACKBONE = dict(
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=64,
    image_size=[IMAGE_SIZE] * 2,
    patch_size=[8, 8],
    attention_bias=True,
    initializer_range=0.08,
)
AUTOENCODER = dict(
    latent_channels=8,
    attention_head_dim=8,
    scaling_factor=1.0,
    encoder_block_types=["ResBlock"] * 4,
    decoder_block_types=["ResBlock"] * 4,
    encoder_block_out_channels=[8, 16, 16, 32],
    decoder_block_out_channels=[8, 16, 16, 32],
    encoder_layers_per_block=[1] * 4,
    decoder_layers_per_block=[1] * 4,
    encoder_qkv_multiscales=[[]] * 4,
    decoder_qkv_multiscales=[[]] * 4,
    upsample_block_type="pixel_shuffle",
    downsample_block_type="conv",
)
TEACHER = DINOv3ViTConfig(
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=4,
    num_attention_heads=4,
    num_register_tokens=2,
    image_size=48,
    patch_size=8,
    initializer_range=0.2,
)
"""6 x 6 patches against the student's 4 x 4, and twice its heads: Psi and the grouping of heads are
really used.
"""


def small_text_tower() -> TextTower:
    """Random weights; the tokenizer learns its words from 64 scene captions."""
    tokenizer = train_tokenizer(list(Scenes("train", IMAGE_SIZE).first(64).captions))
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=16,
        max_position_embeddings=32,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=3,
    )
    return TextTower(CLIPTextModelWithProjection(config), tokenizer).eval()


def write_foundations(folder: Path) -> Path:
    """The four folders a preset points at, with random weights from a fixed seed."""
    torch.manual_seed(0)
    Backbone(BACKBONE).network.save_pretrained(folder / "backbone")
    AutoencoderDC(**AUTOENCODER).save_pretrained(folder / "autoencoder")
    DinoV3Teacher.from_config(TEACHER, (0,)).network.save_pretrained(folder / "teacher")
    small_text_tower().save_pretrained(folder / "text_tower")
    write_preset(folder)
    return folder


PRESET = "data/foundations/micro/micro.yaml"
"""The preset's file in a workspace that `write_foundations` furnished."""


def write_preset(folder: Path) -> Path:
    """The curriculum of ``tiny``, six steps of four images a stage, as a preset file."""
    parts = ("backbone", "autoencoder", "teacher", "text_tower")
    said = {
        "extends": "tiny",
        "image_size": IMAGE_SIZE,
        "foundations": {part: str(folder / part) for part in parts},
        "connector": dict(unshuffle=1, width=32, num_heads=2, num_blocks=3),
        # Of four images, two: one of each of two processes.
        "shares": dict(perceptual=0.5, adversarial=0.5),
        "stage": dict(steps=6, batch_size=4, checkpoint_every=2, ema_decay=0.9, warmup_share=0.2),
    }
    file = folder / "micro.yaml"
    file.write_text(yaml.safe_dump(said))
    return file


def micro_preset(folder: Path) -> Preset:
    """The preset of `write_preset`, loaded."""
    return load_preset(str(folder / "micro.yaml"))


def micro_run(stage: str, run: str = "whole", **options: Any) -> StageRun:
    """A stage of a run; words such as ``steps`` or ``routing`` become overrides."""
    words = [f"{shorthand(name)}={options.pop(name)}" for name in [*options] if shorthand(name)]
    words += [options.pop("overrides")] if "overrides" in options else []
    overrides = " ".join(words)
    return StageRun(
        run=run, preset=PRESET, stage=stage, device="cpu", overrides=overrides, **options
    )


class stopping_at(Callback):
    """Raises at this step, or at the first it hears of after it."""

    def __init__(self, step: int, error: BaseException) -> None:
        self.step, self.error = step, error

    def on_step(self, trainer: Any, row: dict[str, Any]) -> None:
        if row["step"] >= self.step:
            raise self.error


class before_each(Callback):
    """Calls a function with the trainer and the number of steps done, before each step."""

    def __init__(self, name: str, function: Callable[[Any, int], None]) -> None:
        self.name, self.function = name, function

    def before_step(self, trainer: Any, step: int) -> None:
        self.function(trainer, step)


class after_each(Callback):
    """Calls a function with the row of each step."""

    def __init__(self, function: Callable[[dict[str, Any]], None]) -> None:
        self.function = function

    def on_step(self, trainer: Any, row: dict[str, Any]) -> None:
        self.function(row)


def written_rows(run: StageRun) -> list[dict[str, float]]:
    """The metrics file, parsed by hand."""
    return [json.loads(line) for line in run.files.metrics_file.read_text().splitlines()]


def finished_weights(run: StageRun) -> dict[str, Tensor]:
    """The EMA weights a finished stage leaves."""
    return load_file(next(run.tokenizer_folder.glob("*.safetensors")))


def last_training_state(run: StageRun) -> dict[str, Tensor]:
    """EMA, optimisers, critic and RNG, and the raw tokenizer, of the last checkpoint."""
    last = sorted(run.files.checkpoints.glob("step-*"))[-1]
    raw = load_file(next((last / "tokenizer").glob("*.safetensors")))
    return load_file(last / "training.safetensors") | {
        f"raw/{name}": weight for name, weight in raw.items()
    }


def borrow_stage(run: StageRun, stage: str, lender: str = "whole") -> None:
    """Give a run the finished stage of another one."""
    import shutil

    shutil.copytree(
        paths.run_folder(lender) / stage, paths.run_folder(run.run) / stage, dirs_exist_ok=True
    )


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> list[str]:
    """Names that differ in any bit; an empty list means equal."""
    assert first.keys() == second.keys()
    return [name for name in first if not torch.equal(first[name], second[name])]
