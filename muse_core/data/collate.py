"""Batches on their way from a loader's worker to the device: one byte a colour where that is all
they hold.

Photographs are 8-bit files, so their floats are k / 255: a quarter of the bytes goes through the
workers' queue and over the bus, and the device makes the floats. Drawn scenes hold more and stay as
they are."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

LEVELS = 255


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
