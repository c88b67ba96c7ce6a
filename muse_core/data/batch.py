"""`Batch`, and `Source`, the interface every data set implements."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from muse_core.data.class_prompts import photo_prompts
from muse_core.shapes import Images, Labels, Masks

NO_LABEL = -1
IGNORED_PIXEL = 255


@dataclass(frozen=True)
class Batch:
    """What every source yields.

    Args:
        images: (batch, 3, size, size) in [0, 1].
        captions: one a sample.
        labels: (batch,) class indices, `NO_LABEL` where unknown.
        ids: names of the samples.
        class_masks: (batch, size, size) class indices, `IGNORED_PIXEL` where unknown; None for a
            source without them.
        instance_masks: (batch, size, size) numbers of objects, 0 = none of them; likewise.
        skipped: what could not be read, with the reason; another sample took its place.
        enlarged: ids of the images that are smaller than the network's input.
    """

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

    def first(self, count: int) -> "Batch":
        """The first samples."""
        if count >= len(self):
            return self
        cut = {name: one[:count] for name, one in self._tensors().items()}
        return replace(self, captions=self.captions[:count], ids=self.ids[:count], **cut)

    def to(self, device: torch.device | str) -> "Batch":
        """The batch with its tensors on this device."""
        moved = {name: one.to(device, non_blocking=True) for name, one in self._tensors().items()}
        return replace(self, **moved)

    def pin_memory(self) -> "Batch":
        """In page-locked memory, from which a GPU copies while it computes; torch's DataLoader
        calls this.
        """
        return replace(self, **{name: one.pin_memory() for name, one in self._tensors().items()})

    def _tensors(self) -> dict[str, Tensor]:
        names = ("images", "labels", "class_masks", "instance_masks")
        found = {name: getattr(self, name) for name in names}
        return {name: tensor for name, tensor in found.items() if tensor is not None}


class Source(ABC):
    """A finite, indexable split of a data set.

    Leaves define ``name`` (for figures), ``class_names`` (index = label), ``fingerprint`` (changes
    when the data does), ``__len__`` and ``__getitems__``.
    """

    name: str
    class_names: tuple[str, ...]
    fingerprint: str
    mask_class_names: tuple[str, ...] = ()
    """Classes of ``class_masks``; empty for a source without them."""
    notes: tuple[str, ...] = ()
    """What was found when the source was opened and is not used, each with the reason."""

    @property
    def file_sizes(self) -> Mapping[str, int]:
        """Name of each file of this split, from the data's folder -> bytes; empty where samples are
        not files.
        """
        return {}

    @abstractmethod
    def __len__(self) -> int:
        """Number of samples in this split."""

    @abstractmethod
    def __getitems__(self, indices: list[int]) -> Batch:
        """The samples at these positions, as an evaluation sees them: with the first caption of
        each, whole.
        """

    def drawn(self, indices: list[int], seed: int, epoch: int) -> Batch:
        """The samples at these positions, as training sees them in an epoch.

        The same as ``__getitems__`` for a source with one short caption an image; of several
        captions, another one in every epoch (`muse_core.data.caption_sampling`).
        """
        return self.__getitems__(indices)

    def class_prompts(self) -> list[list[str]]:
        """How zero-shot classification words each class: several sentences, the same number for
        every class.
        """
        return [photo_prompts(name) for name in self.class_names]

    def described(self) -> "Source":
        """The same samples with captions that tell as much as there is to tell, for text-to-image;
        as they are where no others exist.
        """
        return self

    def first(self, count: int) -> Batch:
        """The first ``count`` samples (fewer if the split is smaller): what figures and quick
        measures look at.
        """
        return self.__getitems__(list(range(min(count, len(self)))))


@dataclass(frozen=True)
class Steps:
    """The training steps that one process takes.

    Args:
        batch_size: samples of one step, over all processes.
        seed: of the order, and of which caption an image is shown with.
        start, stop: the first step, and the one after the last.
        rank, processes: which of how many processes this is.
        workers: processes that load for it.
    """

    batch_size: int
    seed: int
    start: int
    stop: int
    rank: int = 0
    processes: int = 1
    workers: int = 0


class StreamedSource(Source):
    """A split that is too large to be indexed: training reads it from beginning to end.

    As a `Source` it is its first samples only, for evaluations and figures.
    """

    @abstractmethod
    def training_batches(self, steps: Steps) -> Any:
        """As `muse_core.data.loader.training_batches`, which calls this."""
