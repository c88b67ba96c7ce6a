"""Batches on their way from a loader's worker to the device: one byte a colour where that is all they hold.

Photographs are 8-bit files, so their floats are k / 255: a quarter of the bytes goes through the workers' queue and over the
bus, and the device makes the floats. Drawn scenes hold more and stay as they are.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from muse_core.shapes import Int

LEVELS = 255


@dataclass(frozen=True)
class EightBitBatch:
    """``levels``: uint8; ``rest``: the `muse_core.data.batches.Batch` without its images."""

    levels: Int[Tensor, "batch 3 image_height image_width"]
    rest: Any

    def __len__(self) -> int:
        return len(self.rest)

    def pin_memory(self) -> "EightBitBatch":
        """In page-locked memory, from which a GPU copies while it computes; torch's DataLoader calls this."""
        return EightBitBatch(self.levels.pin_memory(), self.rest.pin_memory())

    def to(self, device: torch.device | str) -> Any:
        """On the device, in floats again: on a CPU the very same ones."""
        images = self.levels.to(device, non_blocking=True).float().div_(LEVELS)
        return replace(self.rest.to(device), images=images)


def packed(batch: Any) -> Any:
    """An `EightBitBatch` where nothing is lost by it; anything else as it is."""
    if not hasattr(batch, "images"):
        return batch
    levels = (batch.images * LEVELS).round()
    if not torch.equal(levels / LEVELS, batch.images) or levels.amin() < 0 or levels.amax() > LEVELS:
        return batch
    return EightBitBatch(levels.to(torch.uint8), replace(batch, images=batch.images[:0]))
