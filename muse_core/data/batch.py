"""`Batch`, and `Source`, the interface every data set implements."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from muse_core.data.class_prompts import photo_prompts
from muse_core.data.lanes import STEPS, dealt, pieces_of
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
