"""The seeded, resumable loader of training batches, and the batches of an evaluation in order.

On their way from a loader's worker to the device, photographs take one byte a colour: they are
8-bit files, so their floats are k / 255, and the device makes the floats. Drawn scenes hold more
and stay as they are.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from shutil import disk_usage
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from muse_core.data.batch import Batch, Source, Steps, StreamedSource
from muse_core.errors import MuseError

LEVELS = 255
SHARED_MEMORY = Path("/dev/shm")
ENOUGH_SHARED_MEMORY = 1 << 30
"""Bytes; where fewer are free, as in a container, batches come from workers through pipes."""
LOOK_EVERY = 5.0
"""Seconds between two looks whether workers live."""
LONGEST_WAIT = 1800
"""Seconds until a worker that gives no batch is said to hang."""


@runtime_checkable
class Samples(Protocol):
    """What can be trained on: a `Source`, or anything else that is indexed the same way."""

    def __len__(self) -> int: ...
    def __getitems__(self, indices: list[int]) -> Any: ...


class EpochOrder(Sampler[tuple[int, list[int]]]):
    """(epoch, positions) of each step: a fresh permutation every epoch, a pure function of the
    seed.

    Resuming at step k needs nothing but k. Several processes take the samples of a step
    in turns: the order is the same for any number of them, and the first samples of all are
    together the first of the step. An epoch's last incomplete step is left out.

    Args:
        length: samples in the source.
        steps: which are asked for.

    Raises:
        MuseError: where there are fewer samples than one step needs.
    """

    def __init__(self, length: int, steps: Steps) -> None:
        if length < steps.batch_size:
            raise MuseError(
                f"The data holds {length} images but one step needs {steps.batch_size}: lower "
                "batch_size or add images."
            )
        self.length, self.steps = length, steps
        self.steps_per_epoch = length // steps.batch_size

    def __len__(self) -> int:
        return self.steps.stop - self.steps.start

    def __iter__(self) -> Iterator[tuple[int, list[int]]]:
        asked, epoch, order = self.steps, -1, torch.empty(0)
        for step in range(asked.start, asked.stop):
            if step // self.steps_per_epoch != epoch:
                epoch = step // self.steps_per_epoch
                generator = torch.Generator().manual_seed(asked.seed * 100_003 + epoch)
                order = torch.randperm(self.length, generator=generator)
            first = (step % self.steps_per_epoch) * asked.batch_size
            whole = order[first : first + asked.batch_size]
            yield epoch, whole[asked.rank :: asked.processes].tolist()


class TrainingBatches:
    """The batches of one process. A stream's say with ``state_dict`` where they stand; for every
    other source the step says it, and the state is empty.
    """

    def __init__(self, loader: DataLoader, steps: Steps) -> None:
        self.loader, self.steps = loader, steps

    def __len__(self) -> int:
        return self.steps.stop - self.steps.start

    def __iter__(self) -> Iterator[Any]:
        return islice(self._batches(), len(self))

    def _batches(self) -> Iterator[Any]:
        return received(self.loader)

    def state_dict(self) -> dict[str, Any]:
        """What this process must be given to go on after the last batch; JSON."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where a `state_dict` was taken, before the first batch is asked for."""


def training_batches(
    source: Samples,
    batch_size: int,
    seed: int,
    start: int,
    stop: int,
    rank: int = 0,
    processes: int = 1,
    workers: int = 0,
) -> TrainingBatches:
    """Shuffled batches for the training steps ``start .. stop`` (exclusive).

    What a worker gives is a batch only once ``.to(device)`` has made it one.

    Args:
        source: a `Source`, or anything else that is indexed like one.
        batch_size: samples of one step, over all processes.
        seed: of the order, and of which caption an image is shown with.
        start, stop: the first step, and the one after the last.
        rank, processes: which of how many processes this is; its share of a step comes.
        workers: processes that load; at most one a core.

    Returns:
        As many as steps. They do not depend on how often training was stopped
        and resumed, and the shares of any number of processes are together the same step; for a
        stream see docs/data.md.

    Raises:
        MuseError: where there are fewer samples than one step needs.
    """
    cores = os.cpu_count() or 1
    steps = Steps(batch_size, seed, start, stop, rank, processes, min(workers, cores))
    if isinstance(source, StreamedSource):
        return source.training_batches(steps)
    order = EpochOrder(len(source), steps)
    return TrainingBatches(loader_of(_Drawn(source, seed), steps, batch_sampler=order), steps)


def loader_of(data: Any, steps: Steps, **options: Any) -> DataLoader:
    """torch's loader of data that gives whole batches; its own generator leaves the global one
    alone.
    """
    return DataLoader(
        data,
        collate_fn=sent if steps.workers else _already_a_batch,
        num_workers=steps.workers,
        timeout=LOOK_EVERY if steps.workers else 0,
        pin_memory=steps.workers > 0 and torch.cuda.is_available(),
        generator=torch.Generator().manual_seed(steps.seed),
        **options,
    )


def sent(batch: Any) -> Any:
    """What a worker hands over: packed, and without tensors where the memory that torch shares
    among processes is small.
    """
    small = SHARED_MEMORY.is_dir() and disk_usage(SHARED_MEMORY).free < ENOUGH_SHARED_MEMORY
    return PipedBatch.of(packed(batch)) if small and hasattr(batch, "images") else packed(batch)


@dataclass(frozen=True)
class PipedBatch:
    """A batch on its way through a pipe: its kind, and its fields with arrays for tensors."""

    kind: type
    fields: dict[str, Any]

    @classmethod
    def of(cls, batch: Any) -> "PipedBatch":
        return cls(type(batch), _swapped(vars(batch), Tensor, Tensor.numpy))

    def opened(self) -> Any:
        """The batch as it was."""
        return self.kind(**_swapped(self.fields, np.ndarray, torch.from_numpy))


def _swapped(value: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {name: _swapped(each, kind, change) for name, each in value.items()}
    return change(value) if isinstance(value, kind) else value


def received(loader: DataLoader) -> Iterator[Any]:
    """What a loader's workers, which begin now, give, as it was before it was sent. Raises
    MuseError where one of them hangs.
    """
    return _opened(iter(loader))


def _opened(batches: Iterator[Any]) -> Iterator[Any]:
    waited = 0
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except RuntimeError as error:
            if "timed out" not in str(error):
                raise
            # torch has looked whether its workers live, and can be asked again.
            waited += LOOK_EVERY
            if waited >= LONGEST_WAIT:
                raise MuseError(
                    f"No image was read for {LONGEST_WAIT / 60:.0f} minutes: look whether the disk "
                    "that holds the data answers, or set loader_workers to 0."
                ) from error
            continue
        waited = 0
        yield batch.opened() if isinstance(batch, PipedBatch) else batch


def evaluation_batches(
    source: Source, batch_size: int, limit: int | None = None
) -> Iterator[Batch]:
    """Batches in index order, each sample once.

    Args:
        source: a split.
        batch_size: samples of a batch; the last may have fewer.
        limit: at most so many samples.
    """
    count = len(source) if limit is None else min(limit, len(source))
    for first in range(0, count, batch_size):
        yield source.__getitems__(list(range(first, min(first + batch_size, count))))


@dataclass(frozen=True)
class EightBitBatch:
    """A batch of photographs between a worker and the device.

    Args:
        kind: what it becomes.
        levels: the images, one byte a colour.
        rest: the other fields of that kind.
    """

    kind: type
    levels: UInt8[Tensor, "batch 3 image_height image_width"]
    rest: dict[str, Any]

    def __len__(self) -> int:
        return len(self.levels)

    def pin_memory(self) -> "EightBitBatch":
        """In page-locked memory; torch's DataLoader calls this."""
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
    """An `EightBitBatch` where nothing is lost by it; anything else, batches without images too,
    as it is.
    """
    if not hasattr(batch, "images"):
        return batch
    levels = (batch.images * LEVELS).round()
    exact = torch.equal(levels / LEVELS, batch.images)
    if not exact or levels.amin() < 0 or levels.amax() > LEVELS:
        return batch
    rest = {one.name: getattr(batch, one.name) for one in fields(batch) if one.name != "images"}
    return EightBitBatch(type(batch), levels.to(torch.uint8), rest)


class _Drawn:
    """A source as torch's DataLoader asks it: for (epoch, positions), with the captions of that
    epoch.
    """

    def __init__(self, source: Samples, seed: int) -> None:
        self.source, self.seed = source, seed

    def __getitems__(self, asked: tuple[int, list[int]]) -> Any:
        epoch, indices = asked
        if isinstance(self.source, Source):
            return self.source.drawn(indices, self.seed, epoch)
        return self.source.__getitems__(indices)


def _already_a_batch(batch: Any) -> Any:
    return batch
