"""`Batch`, the `Source` interface every data set implements, and the seeded, resumable loader over
it.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from muse_core.data.class_prompts import photo_prompts
from muse_core.data.collate import packed
from muse_core.data.lanes import STEPS, dealt, pieces_of
from muse_core.errors import MuseError
from muse_core.shapes import Images, Labels, Masks

NO_LABEL = -1
IGNORED_PIXEL = 255


@dataclass(frozen=True)
class Batch:
    """What every source yields.

    ``labels`` are class indices, `NO_LABEL` where unknown; ``class_masks`` and ``instance_masks``
    are None for sources without them; ``ids`` name the samples; ``skipped`` lists what could not be
    read, with the reason (another sample took its place); ``enlarged`` the images smaller than the
    network's input."""

    images: Images
    captions: tuple[str, ...]
    labels: Labels
    ids: tuple[str, ...]
    class_masks: Masks | None = None
    instance_masks: Masks | None = None
    skipped: tuple[str, ...] = ()
    enlarged: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str) -> "Batch":
        return replace(
            self,
            **{
                name: tensor.to(device, non_blocking=True)
                for name, tensor in self._tensors().items()
            },
        )

    def pin_memory(self) -> "Batch":
        """In page-locked memory, from which a GPU copies while it computes; torch's DataLoader
        calls this.
        """
        return replace(
            self, **{name: tensor.pin_memory() for name, tensor in self._tensors().items()}
        )

    def _tensors(self) -> dict[str, Tensor]:
        named = {
            name: getattr(self, name)
            for name in ("images", "labels", "class_masks", "instance_masks")
        }
        return {name: tensor for name, tensor in named.items() if tensor is not None}


class Source(ABC):
    """A finite, indexable split of a data set.

    Leaves define ``name`` (for figures), ``class_names`` (index = label), ``fingerprint`` (changes
    when the data does) and the two methods below."""

    name: str
    class_names: tuple[str, ...]
    fingerprint: str
    mask_class_names: tuple[str, ...] = ()
    """Classes of ``class_masks``; empty for a source without them."""
    places: int | None = None
    """At how many places at once it is best read at most; None where every order costs the same."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of samples in this split."""

    @abstractmethod
    def __getitems__(self, indices: list[int]) -> Batch:
        """The samples at these positions, as one batch (the method torch's DataLoader calls)."""

    def lanes(self, count: int, generator: torch.Generator) -> list[Tensor]:
        """A fresh permutation of all positions, in ``count`` runs (see `muse_core.data.lanes`)."""
        return list(torch.randperm(len(self), generator=generator).tensor_split(count))

    def shuffled(self, batch_size: int, generator: torch.Generator) -> Tensor:
        """(n,) the order of an epoch: a permutation of all positions, as far as the source has
        ``places`` in runs.
        """
        if self.places is None:
            return torch.randperm(len(self), generator=generator)
        pieces = pieces_of(batch_size, self.places)
        return dealt(self.lanes(pieces * STEPS, generator), batch_size // pieces)

    def class_prompts(self) -> list[list[str]]:
        """How zero-shot classification words each class: several sentences, the same number for
        every class.
        """
        return [photo_prompts(name) for name in self.class_names]

    def described(self) -> "Source":
        """The same samples with captions that tell as much as there is to tell, for text-to-image;
        as they are where no others exist."""
        return self

    def first(self, count: int) -> Batch:
        """The first ``count`` samples (fewer if the split is smaller): what figures and quick
        measures look at.
        """
        return self.__getitems__(list(range(min(count, len(self)))))


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
