"""What the processes of one training tell each other. With one process every function is the
identity.
"""

import torch
from accelerate import Accelerator
from torch import Tensor

from muse_core.errors import MuseError


def images_each(batch_size: int, processes: int) -> int:
    """The part of a step's images that each process takes. Raises MuseError where it does not
    divide.
    """
    if batch_size % processes:
        raise MuseError(
            f"batch_size {batch_size}, the images of one step over all processes, does not divide among {processes} "
            f"processes: use {batch_size - batch_size % processes or processes}, or another number of processes."
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
    means = accelerator.reduce(
        torch.tensor(list(values.values()), device=accelerator.device), "mean"
    )
    return dict(zip(values, means.tolist(), strict=True))


def any_process(flag: bool, accelerator: Accelerator) -> bool:
    """Whether the flag is up anywhere; all processes get the same answer."""
    return mean_over_processes({"flag": float(flag)}, accelerator)["flag"] > 0
