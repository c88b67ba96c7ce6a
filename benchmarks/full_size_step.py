"""Does the full size fit, and how long does one step take? Random weights, one step of each stage, no downloads.

    python benchmarks/full_size_step.py [--preset muse-1b] [--batch-size 1] [--device cpu] [--stages 01 02 03]

bfloat16 autocast on every device. Prints, for each stage, what is trained, the seconds of one step after a first one, and the
peak of memory. On a CPU, muse-1b needs about 13 GB for stage 3 (weights, gradients, two moments, average, teachers).
"""

import argparse
import gc
import resource
import time

import torch
from accelerate import Accelerator
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, DINOv3ViTConfig

from muse_core.data.scenes import Scenes
from muse_core.foundations.perceptual import TeacherFeatures
from muse_core.foundations.published import AUTOENCODER, BACKBONE, CLIP_TEXT, TEACHERS
from muse_core.foundations.text_tower import TextTower
from muse_core.foundations.topology_teacher import DinoV3Teacher, spread_layers
from muse_core.models.assembly import new_tokenizer
from muse_core.presets import preset_named
from muse_core.sizes import Preset
from muse_core.stages import Stage
from muse_core.training.teachers import Teachers
from muse_core.training.trainer import Trainer


def words(captions: list[str], **_: object) -> dict[str, torch.Tensor]:
    """In a tokenizer's place: as many numbers as a caption has words."""
    length = max(len(caption.split()) for caption in captions)
    ids = torch.randint(1, CLIP_TEXT["vocab_size"], (len(captions), length))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def random_teachers(preset: Preset, device: torch.device) -> Teachers:
    """Full-size teachers without their weights."""
    config = DINOv3ViTConfig(**TEACHERS[preset.name])
    layers = spread_layers(config.num_hidden_layers, preset.connector.num_blocks)
    topology = DinoV3Teacher.from_config(config, layers).requires_grad_(False).to(device)
    text = TextTower(CLIPTextModelWithProjection(CLIPTextConfig(**CLIP_TEXT)), words)
    return Teachers(topology, text.eval().requires_grad_(False).to(device), TeacherFeatures(topology))


def gigabytes(device: torch.device) -> float:
    """The peak so far: of the GPU's memory, or of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def one_stage(preset: Preset, stage: Stage, batch_size: int, accelerator: Accelerator) -> None:
    """A first step, then one that is timed."""
    torch.manual_seed(0)
    tokenizer = new_tokenizer(preset, BACKBONE, AUTOENCODER, CLIP_TEXT["projection_dim"])
    trainer = Trainer(tokenizer, stage, random_teachers(preset, accelerator.device), accelerator)
    batch = Scenes("train", preset.image_size).first(batch_size).to(accelerator.device)
    trainer.update(batch, 0)
    began = time.perf_counter()
    row = trainer.update(batch, 1)
    seconds = time.perf_counter() - began
    trained = sum(weight.numel() for weight in trainer.weights.values()) / 1e6
    print(f"{stage.name}: {trained:.0f} M parameters trained, {seconds:.1f} s a step of {batch_size}, "
          f"peak {gigabytes(accelerator.device):.1f} GB, losses "
          + ", ".join(f"{name.removeprefix('loss/')} {value:.3f}" for name, value in row.items() if "loss/" in name),
          flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="muse-1b", choices=TEACHERS)
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--stages", nargs="*", default=["01", "02", "03"])
    asked = parser.parse_args()
    accelerator, preset = Accelerator(cpu=asked.device == "cpu", mixed_precision="bf16"), preset_named(asked.preset)
    for stage in preset.curriculum:
        if stage.name[:2] in asked.stages:
            one_stage(preset, stage, asked.batch_size, accelerator)
            accelerator.free_memory()
            gc.collect()


if __name__ == "__main__":
    main()
