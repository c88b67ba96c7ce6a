"""The device and the processes of one training, and what they tell each other."""

from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from muse_core.errors import MuseError, chosen
from muse_core.training.fsdp import take_request


def accelerator_for(device: str, processes: int = 1) -> Accelerator:
    """bf16 on a CUDA device that has it, fp32 elsewhere; numbers too small for a normal float count
    as zero.

    Args:
        device: "auto" for the best there is, "cpu", "cuda" or "mps".
        processes: How many the caller counts on.

    Raises:
        MuseError: This machine lacks the device, or the launcher started another number of
            processes.
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
    half = device in ("auto", "cuda") and cuda and torch.cuda.is_bf16_supported(False)
    # Accelerate starts one process where it is not told that there is no GPU.
    on_cpu = device == "cpu" or (device == "auto" and not (cuda or mps))
    accelerator = Accelerator(cpu=on_cpu, mixed_precision="bf16" if half else "no")
    if processes not in (1, accelerator.num_processes):
        raise MuseError(
            f"{processes} processes were asked for and the launcher started "
            f"{accelerator.num_processes}: start them with torchrun (`accelerate launch --cpu` "
            "starts one only)."
        )
    return accelerator


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
    draws the same.
    """
    return drawn.chunk(accelerator.num_processes)[accelerator.process_index]


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
