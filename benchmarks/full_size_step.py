"""Does the full size fit, and how long does one step take? Random weights, one step of each stage,
no downloads.

    python -m benchmarks.full_size_step [--preset muse-1b] [--batch-size 2] [--device cpu]
        [--precision auto] [--stages 01 02 03]

``auto``: bfloat16 autocast where the hardware multiplies in it, float32 elsewhere. Prints, for each
stage, what is trained, the seconds of one step after a first one, and the peak of memory. On a CPU,
muse-1b takes 18 GB in stage 3 (weights, gradients, two moments, average, teachers, two images'
activations), and about two minutes a step."""

import argparse
import gc
import resource
import time

import torch
from accelerate import Accelerator

from benchmarks.published import TEACHERS
from benchmarks.sizes import Size, published, random_trainer, scenes
from muse_core.errors import MuseError
from muse_core.training.distributed import has_bf16


def gigabytes(device: torch.device) -> float:
    """The peak so far: of the GPU's memory, or of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def autocast_for(device: str, precision: str) -> str:
    """Accelerate's name for the precision. Raises SystemExit for bf16 where the hardware would only
    imitate it.
    """
    native = has_bf16(device)
    if precision == "bf16" and not native:
        raise SystemExit(
            f"This {device} has no bf16 arithmetic and would imitate it many times slower: use "
            "--precision fp32."
        )
    return "bf16" if native and precision != "fp32" else "no"


def one_stage(size: Size, stage: str, batch_size: int, accelerator: Accelerator) -> None:
    """A first step, then one that is timed."""
    trainer = random_trainer(size, stage, accelerator)
    batch = scenes(size, batch_size, accelerator.device)
    trainer.update(batch, 0)
    began = time.perf_counter()
    row = trainer.update(batch, 1)
    seconds = time.perf_counter() - began
    trained = sum(weight.numel() for weight in trainer.weights.values()) / 1e6
    print(
        f"{trainer.stage.name}: {trained:.0f} M parameters trained, {seconds:.1f} s a step of "
        f"{batch_size}, "
        f"peak {gigabytes(accelerator.device):.1f} GB, losses "
        + ", ".join(
            f"{name.removeprefix('loss/')} {value:.3f}"
            for name, value in row.items()
            if "loss/" in name
        ),
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="muse-1b", choices=TEACHERS)
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--precision", default="auto", choices=("auto", "bf16", "fp32"))
    parser.add_argument("--stages", nargs="*", default=["01", "02", "03"])
    asked = parser.parse_args()
    precision = autocast_for(asked.device, asked.precision)
    accelerator, size = (
        Accelerator(cpu=asked.device == "cpu", mixed_precision=precision),
        published(asked.preset),
    )
    print(f"{asked.preset} on {asked.device}, autocast to {precision}", flush=True)
    for stage in asked.stages:
        one_stage(size, stage, asked.batch_size, accelerator)
        accelerator.free_memory()
        gc.collect()


if __name__ == "__main__":
    try:
        main()
    except MuseError as error:
        raise SystemExit(str(error)) from error
