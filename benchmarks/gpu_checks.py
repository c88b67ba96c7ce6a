"""What is to be checked on a GPU, in one run of some minutes: how far stages 1 and 3 of muse-1b are
from the hardware's rate, what fits, and whether our kernel and flash attention do what they should.

    python -m benchmarks.gpu_checks [--size muse-1b] [--device cuda] [--batches 8 16 32 48]

Prints a line a check and writes ``reports/bench/gpu_checks.json``. On a CPU the kernel is left out.
"""

import argparse
import gc
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.measuring import matmul_rate
from benchmarks.sizes import SIZES, Size, random_trainer, scenes
from benchmarks.throughput import Throughput, measure
from muse_core import paths
from muse_core.losses.topology_block import block_terms
from muse_core.results.records import provenance, write_json
from muse_core.training.distributed import accelerator_for

STAGES = ("01", "03")
TOLERANCE = 2e-3
"""Largest difference of the kernel over the largest number, in TF32 products."""


def stage_throughputs(
    size: Size, device: str, batches: Sequence[int], rate: float, rounds: int
) -> Iterator[Throughput | str]:
    """Stages 1 and 3 by batch size, until one does not fit; a sentence in its place."""
    accelerator = accelerator_for(device)
    for stage in STAGES:
        for count in batches:
            try:
                trainer, batch = random_trainer(size, stage, accelerator), None
                batch = scenes(size, count, accelerator.device)
                tokens = trainer.tokenizer.token_grid(batch.images)
                work = lambda task=trainer, seen=batch: task.update(seen, 100)
                name, area = f"stage {stage[1]}", tokens[0] * tokens[1]
                yield measure(name, work, size, count, area, rate, rounds, device)
            except torch.OutOfMemoryError:
                yield f"stage {stage[1]}: {count} images do not fit"
                break
            finally:
                trainer = batch = work = None
                accelerator.free_memory()
                gc.collect()


def flash_attention(size: Size, device: str) -> str:
    """One step of stage 3 in which no attention may form its map: torch raises where one would.

    On a CPU the connector's does, as its values are wider than its keys, which only CUDA has a
    kernel for."""
    accelerator = accelerator_for(device)
    trainer, batch = random_trainer(size, "03", accelerator), scenes(size, 2, accelerator.device)
    allowed = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]
    with sdpa_kernel(allowed if device == "cuda" else [*allowed, SDPBackend.MATH]):
        trainer.update(batch, 100)
    said = "formed no attention map" if device == "cuda" else "ran (maps are allowed on a CPU)"
    return f"flash attention: a step of stage 3 {said}"


def kernel_against_torch(device: str) -> str:
    """Our Triton kernel against the block in torch, on the device itself.

    Raises:
        AssertionError: They differ by more than `TOLERANCE`.
    """
    from muse_core.losses.topology_triton import triton_block_terms

    torch.manual_seed(0)
    target = torch.rand(2, 4, 196, 196, device=device).softmax(-1)
    queries, keys = torch.randn(2, 2, 4, 196, 64, device=device).unbind()
    pairs = zip(
        triton_block_terms(target, queries, keys, True),
        block_terms(target, queries, keys, True),
        strict=True,
    )
    worst = max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)
    assert worst < TOLERANCE, f"the kernel differs by {worst:.1e}"
    return f"Triton kernel: equal to torch within {worst:.1e}"


def checks(
    size: Size, device: str, batches: Sequence[int], rate: float, rounds: int
) -> Iterator[Any]:
    """All of them."""
    if device == "cuda":
        yield kernel_against_torch(device)
    yield flash_attention(size, device)
    yield from stage_throughputs(size, device, batches, rate, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="muse-1b", choices=SIZES)
    parser.add_argument("--device", default="cuda", choices=("cpu", "cuda"))
    parser.add_argument("--batches", type=int, nargs="*", default=[8, 16, 32, 48])
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    if asked.device == "cuda" and not torch.cuda.is_available():
        sys.exit("There is no CUDA device here: use --device cpu --size reduced --batches 2.")
    on_gpu = asked.device == "cuda"
    rate = matmul_rate(
        asked.device, torch.bfloat16 if on_gpu else torch.float32, 8192 if on_gpu else 1024
    )
    found: list[Any] = [f"matrix products: {rate / 1e12:.3g} TFLOP/s"]
    print(found[0])
    for one in checks(SIZES[asked.size](), asked.device, asked.batches, rate, asked.rounds):
        found.append(one if isinstance(one, str) else asdict(one))
        line = one if isinstance(one, str) else in_words(one)
        print(line, flush=True)
    kept = {"size": asked.size, "checks": found, "provenance": asdict(provenance(asked.device))}
    print(write_json(paths.root() / "reports" / "bench" / "gpu_checks.json", kept))


def in_words(one: Throughput) -> str:
    """A line of the output."""
    return (
        f"{one.work}, {one.batch_size} images of {one.image_size} px: "
        f"{one.images_per_second:.1f} images/s, {one.share:.0%} of the rate of matrix products, "
        f"peak {one.gigabytes:.1f} GB beyond the weights"
    )


if __name__ == "__main__":
    main()
