"""The weighted sum of the terms a stage hears, with every part kept for the records."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from muse_core.shapes import Scalar


@dataclass(frozen=True)
class LossTerms:
    """``total`` is what backward runs on; ``parts`` are the unweighted terms."""

    total: Scalar
    parts: dict[str, Scalar]

    def as_floats(self) -> dict[str, float]:
        """Every term and the total, for records."""
        named = {str(loss): term for loss, term in self.parts.items()} | {"total": self.total}
        return as_floats(named)


def as_floats(values: Mapping[str, Scalar]) -> dict[str, float]:
    """Scalars as Python numbers, in one transfer: a GPU waits once."""
    if not values:
        return {}
    device = max((value.device for value in values.values()), key=lambda each: each.type != "cpu")
    held = [value.detach().to(device, torch.float32).reshape(()) for value in values.values()]
    return dict(zip(values, torch.stack(held).tolist(), strict=True))


def weighted_sum(parts: dict[str, Scalar], weights: Mapping[str, float]) -> LossTerms:
    """sum_k w_k L_k over the terms present."""
    return LossTerms(
        torch.stack([weights[loss] * term for loss, term in parts.items()]).sum(), parts
    )
