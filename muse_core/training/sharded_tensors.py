"""Tensors of which every process holds a part (torch's `DTensor`): made whole, cut, measured. Other
tensors are whole.
"""

from collections.abc import Iterable, Mapping, Sequence

import torch
from accelerate import Accelerator
from torch import Tensor, distributed, nn
from torch.distributed.tensor import DTensor, distribute_tensor


def whole(
    tensors: Mapping[str, Tensor], device: torch.device | str = "cpu", kept: bool = True
) -> dict[str, Tensor]:
    """Whole copies on ``device``, none where not ``kept``. All processes call it together, with the
    same names in one order.
    """
    found = {}
    for name, tensor in tensors.items():
        gathered = tensor.detach().full_tensor() if isinstance(tensor, DTensor) else tensor.detach()
        if kept:
            found[name] = gathered.to(device, copy=True)
    return found


def part_of(tensor: Tensor, like: Tensor) -> Tensor:
    """A copy of what this process keeps of a whole tensor that all have: as much as it holds of
    ``like``, on its device.
    """
    there = tensor.to(like.device)
    if isinstance(like, DTensor):
        there = distribute_tensor(there, like.device_mesh, like.placements, src_data_rank=None)
    return there.clone()  # a part may be a view, which would keep the whole


def total_norm(gradients: Sequence[Tensor]) -> Tensor:
    """`torch.nn.utils.get_total_norm` of the whole gradients, the same in every process."""
    parts = [gradient.to_local() for gradient in gradients if isinstance(gradient, DTensor)]
    if not parts:
        return nn.utils.get_total_norm(gradients)
    copies = [gradient for gradient in gradients if not isinstance(gradient, DTensor)]
    squared = nn.utils.get_total_norm(parts).square()
    distributed.all_reduce(squared)
    return (squared + nn.utils.get_total_norm(copies).square()).sqrt()


def average_copies(weights: Iterable[nn.Parameter], accelerator: Accelerator) -> None:
    """The gradients of weights that are whole in every process: their mean over processes, as that
    of parts is already.
    """
    for weight in weights:
        if not isinstance(weight, DTensor) and weight.grad is not None:
            weight.grad = accelerator.reduce(weight.grad, "mean")
