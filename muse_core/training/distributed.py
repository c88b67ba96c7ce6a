"""The device and the processes of one training, and what they tell each other."""

from typing import Any

import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from torch import Tensor

from muse_core.errors import MuseError, chosen
from muse_core.training.fsdp import take_request

PRECISIONS = ("auto", "bf16", "fp32")
"""Of matrix products and convolutions while training; weights and sums are always float32."""


def processes_for(device: str) -> PartialState:
    """The processes of this training, this one among them; numbers too small for a normal float
    count as zero in it from now on.

    Args:
        device: "auto" for the best there is, "cpu", "cuda" or "mps".

    Raises:
        MuseError: This machine lacks the device, or this process computes on another one already.
    """
    # SiLU and softmax far from their middle leave numbers below 1e-38, and a CPU takes a hundred
    # times longer for each of them than for a zero.
    torch.set_flush_denormal(True)
    take_request()
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if not chosen("device", device, {"auto": True, "cpu": True, "cuda": cuda, "mps": mps}):
        raise MuseError(
            f"This machine has no {device} device: use device='cpu', or 'auto' for the best one "
            "there is."
        )
    # Accelerate starts one process where it is not told that there is no GPU.
    state = PartialState(cpu=device == "cpu" or (device == "auto" and not (cuda or mps)))
    here = state.device.type if state.device is not None else device
    if device not in ("auto", here):
        raise MuseError(
            f"This process computes on {here} already: restart the kernel, or start another "
            f"process, for device={device!r}."
        )
    return state


def device_for(device: str) -> torch.device:
    """The device of this process. Raises MuseError as `processes_for`."""
    found = processes_for(device).device
    assert found is not None
    return found


def accelerator_for(device: str, processes: int = 1, precision: str = "auto") -> Accelerator:
    """What trains on a device.

    Args:
        device: As `processes_for` takes it.
        processes: How many the caller counts on.
        precision: "bf16", "fp32", or "auto" for bf16 on a CUDA device that has it and fp32
            elsewhere: small networks on CPUs lose by it (docs/performance.md).

    Raises:
        MuseError: This machine lacks the device or its bf16 arithmetic, or the launcher started
            another number of processes.
    """
    kind = device_for(device).type
    chosen("precision", precision, dict.fromkeys(PRECISIONS))
    if precision == "bf16" and not has_bf16(kind):
        raise MuseError(
            f"This {kind} has no bf16 arithmetic and would imitate it many times slower: use "
            "precision=fp32."
        )
    half = precision == "bf16" or (precision == "auto" and kind == "cuda" and has_bf16(kind))
    mixed = "bf16" if half else "no"
    if AcceleratorState._shared_state and AcceleratorState().mixed_precision != mixed:
        AcceleratorState._reset_state()
    accelerator = Accelerator(cpu=kind == "cpu", mixed_precision=mixed)
    if processes not in (1, accelerator.num_processes):
        raise MuseError(
            f"{processes} processes were asked for and the launcher started "
            f"{accelerator.num_processes}: start them with torchrun (`accelerate launch --cpu` "
            "starts one only)."
        )
    return accelerator


def has_bf16(device: str) -> bool:
    """Whether the hardware multiplies in bfloat16."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(False)
    return device == "cpu" and (
        torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    )


def images_each(batch_size: int, processes: int) -> int:
    """The part of a step's images that each process takes. Raises MuseError where it does not
    divide.
    """
    if batch_size % processes:
        raise MuseError(
            f"batch_size {batch_size}, the images of one step over all processes, does not divide "
            f"among {processes} processes: use {batch_size - batch_size % processes or processes}, "
            "or another number of processes."
        )
    return batch_size // processes


def own_part(drawn: Tensor, accelerator: Accelerator) -> Tensor:
    """This process's rows of what was drawn for the whole step, so that any number of processes
    draws the same; the rows that `EpochOrder` gives it.
    """
    return drawn[accelerator.process_index :: accelerator.num_processes]


def mean_over_processes(values: dict[str, float], accelerator: Accelerator) -> dict[str, float]:
    """The mean of each value over all processes, the same everywhere; not finite where any of them
    is not.
    """
    if accelerator.num_processes == 1 or not values:
        return values
    means: Any = accelerator.reduce(
        torch.tensor(list(values.values()), device=accelerator.device), "mean"
    )
    return dict(zip(values, means.tolist(), strict=True))


def any_process(flag: bool, accelerator: Accelerator) -> bool:
    """Whether the flag is up anywhere; all processes get the same answer."""
    return mean_over_processes({"flag": float(flag)}, accelerator)["flag"] > 0
