"""The tokenizer in shards (torch's FSDP2): of every weight, gradient, moment and average, each
process keeps its part.

Asked for as in Accelerate, by a file of ``accelerate config`` or by the variables that ``accelerate
launch`` makes of it. Only the request is Accelerate's: its own wrapping takes one model, and stage
3 trains two. The critic is small, and whole everywhere."""

import copy
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from muse_core.errors import MuseError
from muse_core.models.tokenizer import MuseTokenizer

REQUEST, TAKEN = "ACCELERATE_USE_FSDP", "MUSE_SHARDS"
"""The variable that asks for shards, and where `take_request` puts it."""
VERSION, RESHARD = "FSDP_VERSION", "FSDP_RESHARD_AFTER_FORWARD"
REFUSED = {
    "FSDP_OFFLOAD_PARAMS": "fsdp_offload_params",
    "FSDP_ACTIVATION_CHECKPOINTING": "fsdp_activation_checkpointing",
}
"""Variable -> its name in ``fsdp_config``, of what would change the training and is not built in.
"""
UNITS = ("connector.blocks", "decoder.network.up_blocks")
"""The lists of blocks, beside the backbone's layers: each block is gathered when it is its turn,
all that is outside of them for the whole step.
"""


def take_request() -> None:
    """Put the request where only `wanted` sees it.

    Accelerate would wrap the critic as well, and transformers would read the frozen networks in one
    process of a machine."""
    if _says_yes(REQUEST):
        os.environ[TAKEN] = os.environ.pop(REQUEST)


def wanted(accelerator: Accelerator) -> bool:
    """Whether shards are asked for and there are processes to share them. Raises MuseError for what
    is not built in.
    """
    if accelerator.num_processes == 1 or not _says_yes(TAKEN):
        return False
    if os.environ.get(VERSION, "1") != "2":  # Accelerate's own default
        raise MuseError(
            "Only version 2 of FSDP is built in: say fsdp_version: 2 in fsdp_config, or "
            f"{VERSION}=2."
        )
    for variable, name in REFUSED.items():
        if _says_yes(variable):
            raise MuseError(f"{name} is not built in: leave it out of fsdp_config ({variable}).")
    if not hasattr(FSDPModule, "reset_iter_state"):
        raise MuseError(
            f"torch {torch.__version__} cannot shard so that a failed step is safe: install torch "
            "2.15."
        )
    return True


def refuse(accelerator: Accelerator, what: str) -> None:
    """Raises MuseError where shards are asked for, for something that is trained or
    measured whole.
    """
    if wanted(accelerator):
        raise MuseError(
            f"{what} needs whole weights in every process: leave out FSDP ({REQUEST}, "
            "distributed_type)."
        )


def _says_yes(variable: str) -> bool:
    return os.environ.get(variable, "").lower() in ("1", "true", "yes")


@dataclass(frozen=True)
class Shards:
    """A tokenizer in shards, and an equal one without weights (on torch's device ``meta``) to make
    whole ones from.
    """

    tokenizer: MuseTokenizer
    hollow: MuseTokenizer

    @classmethod
    def of(cls, tokenizer: MuseTokenizer, accelerator: Accelerator) -> "Shards":
        """Cuts the tokenizer in place, between all processes: each keeps its rows of every weight.
        Frozen weights too.

        What has no rows, the temperature, stays whole in each: see `average_copies`.
        """
        warnings.filterwarnings(
            "ignore", ".*returned a view tensor"
        )  # nothing here changes a block's output in place
        hollow = _without_weights(tokenizer)
        options = {
            "mesh": init_device_mesh(accelerator.device.type, (accelerator.num_processes,)),
            "ignored_params": {weight for weight in tokenizer.parameters() if weight.dim() == 0},
        }
        reshard = os.environ.get(RESHARD, "true").lower() != "false"
        for block in units(tokenizer):
            fully_shard(block, reshard_after_forward=reshard, **options)
        fully_shard(tokenizer, **options)
        return cls(tokenizer, hollow)

    def whole(
        self, weights: Mapping[str, Tensor], device: torch.device | str = "cpu", kept: bool = True
    ) -> MuseTokenizer:
        """A tokenizer that is in no shards: with ``weights`` by name, for the others those of now;
        empty where not ``kept``.

        All processes call it together.
        """
        found = copy.deepcopy(self.hollow)
        state = whole(self.tokenizer.state_dict() | dict(weights), device, kept)
        found.load_state_dict(state, strict=kept, assign=True)
        return found


def units(tokenizer: MuseTokenizer) -> list[nn.Module]:
    """The backbone's layers and the blocks of `UNITS`.

    Not the backbone's where the routing runs it with some weights exchanged: all of them must be
    there to do so."""
    groups: list[Any] = [] if tokenizer.routing.backbone_split else [tokenizer.backbone.layers]
    groups += [tokenizer.get_submodule(place) for place in UNITS]
    return [block for group in groups for block in group]


def _without_weights(tokenizer: MuseTokenizer) -> MuseTokenizer:
    """A copy whose parameters take no memory; `copy.deepcopy` takes for copied what it finds among
    the second argument.
    """
    hollow = {
        id(weight): nn.Parameter(torch.empty_like(weight, device="meta"), weight.requires_grad)
        for weight in tokenizer.parameters()
    }
    return copy.deepcopy(tokenizer, hollow)


@contextmanager
def safe_to_fail(model: nn.Module) -> Iterator[None]:
    """A step that raises FloatingPointError between forward and backward leaves shards as before:
    gathered weights are let go.
    """
    try:
        yield
    except FloatingPointError:
        if isinstance(model, FSDPModule):
            model.reset_iter_state()
        raise


def whole(
    tensors: Mapping[str, Tensor], device: torch.device | str = "cpu", kept: bool = True
) -> dict[str, Tensor]:
    """Whole copies on ``device``, none where not ``kept``. All processes call it together, with the
    same names in one order.
    """
    found = {}
    for name, tensor in tensors.items():
        gathered: Tensor = tensor.detach()
        if isinstance(gathered, DTensor):
            gathered = gathered.full_tensor()
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
            mean: Any = accelerator.reduce(weight.grad, "mean")
            weight.grad = mean
