"""What a stage costs by arithmetic: FLOPs, bytes and communication, for any preset and number of
GPUs; and how well the arithmetic agrees with what torch counts.

    python -m benchmarks.cost_model [--check]

Writes the tables of docs/performance.md to its output. ``--check`` counts each part's operations on
torch's meta device, where nothing is computed, and prints arithmetic over count. The critic, the
text tower and Psi are left out.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.measuring import counted_flops
from benchmarks.published import BACKBONES
from benchmarks.sizes import Size, published, tiny_size
from muse_core.config.stage import PIXEL_LOSSES, Loss, Stage
from muse_core.models.assembly import new_tokenizer
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.report.run import duration
from muse_core.training.loss_terms import images_seen
from muse_core.training.optimiser import freeze, trainable

GPUS = (1, 8, 64)
RATE = 989e12
"""bf16 FLOP/s of an H100 or H200 without sparsity, by NVIDIA's data sheet."""
SHARE = 0.4
"""Of that rate, the aim; nothing here was measured on a GPU."""
LINKS = {8: 450e9, 64: 50e9}
"""Bytes a second each way of one GPU: NVLink inside a machine, one 400 Gb/s adapter a GPU between
machines. The slowest link of a ring decides.
"""
TRAINED, FROZEN, PASSED = 3.0, 1.0, 2.0
"""Passes over a network: forward and both gradients; forward alone; forward and the gradient of its
input.
"""
STATE_BYTES, HELD_BYTES = 20, 4
"""A trained weight, its gradient, two moments and moving average in float32; a frozen weight."""


@dataclass(frozen=True)
class Cost:
    """One stage.

    Args:
        flops: Of an image of a step, by part.
        trained, frozen: Weights, of tokenizer and teachers together.
    """

    stage: Stage
    flops: dict[str, float]
    trained: int
    frozen: int

    @property
    def flops_an_image(self) -> float:
        return sum(self.flops.values())

    @property
    def gigabytes(self) -> float:
        """Of a process, weights and what belongs to them alone: without activations."""
        return (STATE_BYTES * self.trained + HELD_BYTES * self.frozen) / 1e9

    def exchanged(self, gpus: int) -> float:
        """Bytes that each GPU sends in a step: a ring's all-reduce of float32 gradients."""
        return 2 * (gpus - 1) / gpus * 4 * self.trained

    def seconds(self, gpus: int) -> float:
        """Of as many images as the stage has, with its batch size on every GPU, at `SHARE` of
        `RATE`; the all-reduce hides behind the computation where it fits there.
        """
        computing = self.stage.batch_size * self.flops_an_image / (SHARE * RATE)
        talking = self.exchanged(gpus) / LINKS[gpus] if gpus > 1 else 0.0
        return self.stage.steps / gpus * max(computing, talking)


def vit_flops(config: dict[str, Any], tokens: int, patch_area: int) -> float:
    """A forward pass of one image through a plain ViT; a multiply-add counts two.

    Args:
        config: hidden_size, intermediate_size, num_hidden_layers, and use_gated_mlp where so.
        tokens: Of the image, prefix tokens included.
        patch_area: Numbers of a patch, all colours.
    """
    width, inner = config["hidden_size"], config["intermediate_size"]
    matrices = 3 if config.get("use_gated_mlp") else 2
    layer = 2 * tokens * (4 * width**2 + matrices * width * inner) + 4 * tokens**2 * width
    return config["num_hidden_layers"] * layer + 2 * tokens * patch_area * width


def forward_flops(size: Size) -> dict[str, float]:
    """Part -> FLOPs of one image, forward."""
    preset, backbone, teacher = size.preset, size.backbone, size.teacher
    side = preset.image_size // _side(backbone["patch_size"])
    seen = teacher["image_size"] // teacher["patch_size"]
    tokens, width = (side // preset.connector.unshuffle) ** 2, preset.connector.width
    prefix = 1 + teacher["num_register_tokens"]
    area = lambda config: 3 * _side(config["patch_size"]) ** 2
    hidden = int(width * 8 / 3)
    block = 2 * tokens * (5 * width**2 + 3 * width * hidden) + 6 * tokens**2 * width
    joined = backbone["hidden_size"] * preset.connector.unshuffle**2
    teacher_tokens = seen**2 + prefix
    return {
        "backbone": vit_flops(backbone, side**2 + 1, area(backbone)),
        "connector": preset.connector.num_blocks * block + 2 * tokens * joined * width,
        "teacher": vit_flops(teacher, teacher_tokens, area(teacher)),
        "decoder": counted_decoder(size),
        "student's logits": 2 * preset.connector.num_blocks * tokens**2 * width,
        "teacher's logits": 2 * preset.connector.num_blocks * seen**4 * teacher["hidden_size"],
    }


def counted_decoder(size: Size) -> float:
    """DC-AE's decoder has no short formula: counted by torch, on the meta device."""
    with torch.device("meta"):
        tokenizer = meta_tokenizer(size)
        cells = _side(size.backbone["patch_size"]) * size.preset.connector.unshuffle
        side = size.preset.image_size // cells
        latent = torch.empty(1, tokenizer.decoder.latent_channels, side, side)
        with torch.no_grad():
            return counted_flops(lambda: tokenizer.decoder(latent))


def meta_tokenizer(size: Size) -> MuseTokenizer:
    """The tokenizer in its full size, without memory."""
    width = size.text["projection_dim"]
    with torch.device("meta"):
        return new_tokenizer(size.preset, size.backbone, size.autoencoder, width)


def costs(size: Size) -> Iterator[Cost]:
    """Every stage of a size."""
    forward, frozen = forward_flops(size), frozen_weights(size)
    for stage in size.preset.curriculum:
        share = lambda *losses, stage=stage: max(
            (images_seen(stage, loss, 10**6) / 1e6 for loss in losses if loss in stage.weights),
            default=0.0,
        )
        taught, decoded = share(Loss.TOPOLOGY), share(*PIXEL_LOSSES)
        perceived = share(Loss.PERCEPTUAL)
        flops = {
            "backbone": forward["backbone"] * (TRAINED if stage.trains_backbone else FROZEN),
            "connector": forward["connector"] * TRAINED,
            "decoder": forward["decoder"] * TRAINED * decoded,
            "teacher": forward["teacher"] * FROZEN * max(taught, perceived),
            "perceptual network": forward["teacher"] * PASSED * perceived,
            "L_topo": taught
            * (forward["student's logits"] * TRAINED + forward["teacher's logits"] * FROZEN),
        }
        tokenizer = meta_tokenizer(size)
        freeze(tokenizer, stage)
        trained = sum(weight.numel() for weight in trainable(tokenizer).values())
        held = sum(weight.numel() for weight in tokenizer.parameters()) - trained
        yield Cost(stage, flops, trained, held + frozen)


def frozen_weights(size: Size) -> int:
    """Of topology teacher and text tower."""
    from transformers import (
        CLIPTextConfig,
        CLIPTextModelWithProjection,
        DINOv3ViTConfig,
        DINOv3ViTModel,
    )

    with torch.device("meta"):
        parts = (
            DINOv3ViTModel(DINOv3ViTConfig(**size.teacher)),
            CLIPTextModelWithProjection(CLIPTextConfig(**size.text)),
        )
    return sum(weight.numel() for part in parts for weight in part.parameters())


def checks(size: Size) -> dict[str, float]:
    """Part -> arithmetic over what torch counts on the meta device."""
    from transformers import DINOv3ViTConfig, DINOv3ViTModel

    forward, tokenizer = forward_flops(size), meta_tokenizer(size)
    with torch.device("meta"), torch.no_grad():
        images = torch.empty(1, 3, size.preset.image_size, size.preset.image_size)
        side = size.teacher["image_size"]
        teacher = DINOv3ViTModel(DINOv3ViTConfig(**size.teacher))
        seen = torch.empty(1, 3, side, side)
        grid, tokens = tokenizer.patch_grid(images), tokenizer.backbone(images)
        hears = size.preset.curriculum.stages[0].trunk_hears
        works = {
            "backbone": lambda: tokenizer.backbone(images),
            "connector": lambda: tokenizer.connector(tokens, grid, hears, False),
            "teacher": lambda: teacher(seen),
        }
        return {name: forward[name] / counted_flops(work) for name, work in works.items()}


def _side(patch: int | list[int]) -> int:
    return patch if isinstance(patch, int) else patch[0]


def table(sizes: list[Size]) -> str:
    """For docs/performance.md."""
    heads = [f"on {gpus} GPU" + "s" * (gpus > 1) for gpus in GPUS]
    lines = [
        "| preset | stage | GFLOP an image | of these: backbone, connector, decoder, teacher, "
        "perceptual, L_topo | GB of weights | MB exchanged a step (8) | "
        + " | ".join(heads)
        + " |",
        "|---" * (6 + len(GPUS)) + "|",
    ]
    for size in sizes:
        for cost in costs(size):
            parts = ", ".join(number(value / 1e9) for value in cost.flops.values())
            times = " | ".join(in_words(cost.seconds(gpus)) for gpus in GPUS)
            lines.append(
                f"| {size.name} | {cost.stage.name[:2]} | {number(cost.flops_an_image / 1e9)} | "
                f"{parts} | {cost.gigabytes:.3g} | {cost.exchanged(8) / 1e6:,.0f} | {times} |"
            )
    return "\n".join(lines)


def number(value: float) -> str:
    """Three digits, and whole from a hundred on."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def in_words(seconds: float) -> str:
    """For a table."""
    return duration(seconds) if seconds >= 1 else "< 1 s"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="arithmetic over counted operations")
    sizes = [tiny_size(), *map(published, BACKBONES)]
    if parser.parse_args().check:
        for size in sizes:
            print(size.name, {name: round(ratio, 3) for name, ratio in checks(size).items()})
        return
    print(table(sizes))


if __name__ == "__main__":
    main()
