"""Instruments of the benchmarks: ratios in turns, peaks of memory, counted FLOPs, and what the
machine can do at most.
"""

import statistics
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.weak import WeakIdKeyDictionary

Work = Callable[[], object]


@dataclass(frozen=True)
class Ratio:
    """``median`` over rounds of new / old, with the ``lowest`` and ``highest`` round; ``seconds``
    are both sides' medians.
    """

    median: float
    lowest: float
    highest: float
    seconds: tuple[float, float]

    @property
    def inverse(self) -> "Ratio":
        """How many times faster the new side is."""
        return Ratio(1 / self.median, 1 / self.highest, 1 / self.lowest, self.seconds[::-1])


def wait_for(device: str) -> None:
    """Until the device has done all it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def timed(work: Work, device: str = "cpu") -> float:
    """Seconds of one call."""
    wait_for(device)
    began = time.perf_counter()
    work()
    wait_for(device)
    return time.perf_counter() - began


def ratio_in_turns(new: Work, old: Work, rounds: int, device: str = "cpu") -> Ratio:
    """Time of ``new`` over ``old``, measured in turns (order swapped every round) after one warm-up
    round.
    """
    taken: dict[Work, list[float]] = {new: [], old: []}
    for turn in range(rounds + 1):
        for work in (new, old) if turn % 2 else (old, new):
            taken[work].append(timed(work, device))
    ratios = [a / b for a, b in zip(taken[new][1:], taken[old][1:], strict=True)]
    seconds = tuple(statistics.median(taken[work][1:]) for work in (new, old))
    return Ratio(statistics.median(ratios), min(ratios), max(ratios), seconds)


def median_seconds(work: Work, rounds: int, device: str = "cpu") -> float:
    """Of some calls, after one that warms up."""
    work()
    return statistics.median(timed(work, device) for _ in range(rounds))


class LiveBytes(TorchDispatchMode):
    """``peak``: most bytes that tensors made inside the block held at once, each storage counted
    until it is freed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self.known = WeakIdKeyDictionary()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        for storage in _storages((args, kwargs)):
            self.known[storage] = True
        result = function(*args, **(kwargs or {}))
        for storage in _storages(result):
            if storage not in self.known:
                self.known[storage] = True
                self.live += storage.nbytes()
                weakref.finalize(storage, self._freed, storage.nbytes())
        self.peak = max(self.peak, self.live)
        return result

    def _freed(self, count: int) -> None:
        self.live -= count


def _storages(values: object) -> list[torch.UntypedStorage]:
    return [leaf.untyped_storage() for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def peak_bytes(work: Work, device: str = "cpu") -> int:
    """Peak memory of ``work`` beyond what there was: live tensor bytes on the CPU, the allocator's
    own count on CUDA.
    """
    if device != "cuda":
        with LiveBytes() as found:
            work()
        return found.peak
    wait_for(device)
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    work()
    wait_for(device)
    return torch.cuda.max_memory_allocated() - before


def counted_flops(work: Work) -> int:
    """Floating-point operations of the matrix products, convolutions and attention in ``work``; a
    multiply-add counts two.
    """
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def matmul_rate(
    device: str = "cpu", dtype: torch.dtype = torch.float32, side: int = 1024, rounds: int = 9
) -> float:
    """FLOP/s of the fastest of some square matrix products: the roof that a training step is
    measured against.
    """
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    a @ b
    return 2 * side**3 / min(timed(lambda: a @ b, device) for _ in range(rounds))
