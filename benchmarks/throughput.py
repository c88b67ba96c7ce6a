"""Images and tokens a second, peak memory and share of the machine's matrix-product rate: encode,
decode, every stage.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor

from benchmarks.measuring import counted_flops, median_seconds, peak_bytes
from benchmarks.sizes import Size, random_trainer, scenes

STAGES = ("01", "02", "03")


@dataclass(frozen=True)
class Throughput:
    """One piece of work: ``flops`` of a call, counted; ``share``: of the measured matrix-product
    rate; ``gigabytes``: peak beyond the weights."""

    work: str
    image_size: int
    batch_size: int
    tokens: int
    seconds: float
    images_per_second: float
    tokens_per_second: float
    gigabytes: float
    flops: float
    share: float


def measure(
    name: str,
    work: Callable[[], object],
    size: Size,
    batch_size: int,
    tokens: int,
    rate: float,
    rounds: int,
    device: str,
) -> Throughput:
    """``tokens``: latent positions of one image; ``rate``: FLOP/s of the machine's
    matrix products.
    """
    seconds = median_seconds(work, rounds, device)
    flops = counted_flops(work)
    return Throughput(
        work=name,
        image_size=size.preset.image_size,
        batch_size=batch_size,
        tokens=tokens,
        seconds=seconds,
        images_per_second=batch_size / seconds,
        tokens_per_second=batch_size * tokens / seconds,
        gigabytes=peak_bytes(work, device) / 1e9,
        flops=flops,
        share=flops / seconds / rate,
    )


def encode_and_decode(
    size: Size, batch_size: int, accelerator: Accelerator, rate: float, rounds: int
) -> Iterator[Throughput]:
    """Both directions of the tokenizer, without gradient."""
    device = accelerator.device
    tokenizer = random_trainer(size, "01", accelerator).tokenizer.eval()
    images: Tensor = scenes(size, batch_size, device).images
    with torch.no_grad(), accelerator.autocast():
        latent = tokenizer.encode(images).latent
        tokens = latent.shape[-1] * latent.shape[-2]
        works = {
            "encode": lambda: tokenizer.encode(images),
            "decode": lambda: tokenizer.decode(latent),
        }
        for name, work in works.items():
            yield measure(name, work, size, batch_size, tokens, rate, rounds, device.type)


def stages(
    size: Size, batch_size: int, accelerator: Accelerator, rate: float, rounds: int
) -> Iterator[Throughput]:
    """One whole update of each stage."""
    for stage in STAGES:
        trainer = random_trainer(size, stage, accelerator)
        batch = scenes(size, batch_size, accelerator.device)
        rows, columns = trainer.tokenizer.token_grid(batch.images)
        work = lambda trainer=trainer, batch=batch: trainer.update(batch, 100)
        name = f"step of stage {stage.lstrip('0')}"
        yield measure(
            name, work, size, batch_size, rows * columns, rate, rounds, accelerator.device.type
        )
