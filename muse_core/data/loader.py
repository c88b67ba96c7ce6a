"""The seeded, resumable loader of training batches, and batches of an evaluation in order.

On their way from a loader's worker to the device, photographs take one byte a colour: they are
8-bit files, so their floats are k / 255, and the device makes the floats. Drawn scenes hold more
and stay as they are.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from muse_core.data.batch import Batch, Source
from muse_core.errors import MuseError

LEVELS = 255


@runtime_checkable
class Samples(Protocol):
    """What can be trained on: a `Source`, or anything else that is indexed the same way."""

    def __len__(self) -> int: ...
    def __getitems__(self, indices: list[int]) -> Any: ...


class EpochOrder(Sampler[list[int]]):
    """Batches of indices for steps ``start .. stop``: a fresh permutation each epoch, a pure
    function of the seed.

    Resuming at step k needs nothing but k. ``batch_size`` counts the images of one step over all
    processes; each takes its own slice, so that the order is the same for any number of them.
    ``shuffled`` makes the permutation, `Source.shuffled` where there is one."""

    def __init__(
        self,
        length: int,
        batch_size: int,
        seed: int,
        start: int,
        stop: int,
        rank: int = 0,
        processes: int = 1,
        shuffled: Callable[[int, torch.Generator], Tensor] | None = None,
    ) -> None:
        self.length, self.batch_size, self.seed = length, batch_size, seed
        self.shuffled = shuffled or (
            lambda batch_size, generator: torch.randperm(length, generator=generator)
        )
        self.start, self.stop, self.rank, self.processes = start, stop, rank, processes
        if length < batch_size:
            raise MuseError(
                f"The data holds {length} images but one step needs {batch_size}: lower batch_size or add images."
            )
        self.steps_per_epoch = length // batch_size

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[list[int]]:
        epoch, order, own = -1, torch.empty(0), self.batch_size // self.processes
        for step in range(self.start, self.stop):
            if step // self.steps_per_epoch != epoch:
                epoch = step // self.steps_per_epoch
                generator = torch.Generator().manual_seed(self.seed * 100_003 + epoch)
                order = self.shuffled(self.batch_size, generator)
            first = (step % self.steps_per_epoch) * self.batch_size + self.rank * own
            yield order[first : first + own].tolist()


def training_batches(
    source: Samples,
    batch_size: int,
    seed: int,
    start: int,
    stop: int,
    rank: int = 0,
    processes: int = 1,
    workers: int = 0,
) -> DataLoader:
    """Shuffled batches for training steps ``start .. stop`` (exclusive); at most one worker a core.

    What a worker gives is a batch only once ``.to(device)`` has made it one
    (`muse_core.data.collate`)."""
    workers = min(workers, os.cpu_count() or 1)
    shuffled = source.shuffled if isinstance(source, Source) else None
    order = EpochOrder(len(source), batch_size, seed, start, stop, rank, processes, shuffled)
    generator = torch.Generator().manual_seed(
        seed
    )  # its own, so that making an iterator leaves the global RNG alone
    return DataLoader(
        source,  # type: ignore[arg-type]  (Samples are a map-style data set through __getitems__)
        batch_sampler=order,
        collate_fn=packed if workers else _already_a_batch,
        num_workers=workers,
        pin_memory=workers > 0 and torch.cuda.is_available(),
        generator=generator,
        persistent_workers=workers > 0,
    )


def evaluation_batches(
    source: Source, batch_size: int, limit: int | None = None
) -> Iterator[Batch]:
    """Batches in index order, each sample once; at most ``limit`` samples."""
    count = len(source) if limit is None else min(limit, len(source))
    for first in range(0, count, batch_size):
        yield source.__getitems__(list(range(first, min(first + batch_size, count))))


def _already_a_batch(batch: Any) -> Any:
    return batch


@dataclass(frozen=True)
class EightBitBatch:
    """``levels``: uint8 images; ``rest``: the other fields of the ``kind`` of batch it becomes."""

    kind: type
    levels: UInt8[Tensor, "batch 3 image_height image_width"]
    rest: dict[str, Any]

    def __len__(self) -> int:
        return len(self.levels)

    def pin_memory(self) -> "EightBitBatch":
        """In page-locked memory, from which a GPU copies while it computes; torch's DataLoader
        calls this.
        """
        return EightBitBatch(self.kind, self.levels.pin_memory(), self._tensors(Tensor.pin_memory))

    def to(self, device: torch.device | str) -> Any:
        """The batch on the device, in floats: on a CPU the very same ones."""
        images = self.levels.to(device, non_blocking=True).float().div_(LEVELS)
        return self.kind(
            images=images, **self._tensors(lambda tensor: tensor.to(device, non_blocking=True))
        )

    def _tensors(self, change: Callable[[Tensor], Tensor]) -> dict[str, Any]:
        return {
            name: change(value) if isinstance(value, Tensor) else value
            for name, value in self.rest.items()
        }


def packed(batch: Any) -> Any:
    """An `EightBitBatch` where nothing is lost by it; anything else, batches without images too, as
    it is.
    """
    if not hasattr(batch, "images"):
        return batch
    levels = (batch.images * LEVELS).round()
    if (
        not torch.equal(levels / LEVELS, batch.images)
        or levels.amin() < 0
        or levels.amax() > LEVELS
    ):
        return batch
    rest = {
        field.name: getattr(batch, field.name) for field in fields(batch) if field.name != "images"
    }
    return EightBitBatch(type(batch), levels.to(torch.uint8), rest)
