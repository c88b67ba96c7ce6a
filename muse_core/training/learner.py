"""What the engine asks of others: a `Run` that says where everything lies, a `Learner` that changes
while it is trained.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from accelerate import Accelerator
from torch import nn

from muse_core.training.checkpoint import TrainingState

Row = dict[str, int | float]
"""One line of the metrics file."""
Progress = Callable[[list[Row]], None]
"""Called after each step with all rows so far; a live plot, for example."""
Observer = Callable[[Any, int], None]
"""Called before each step with the learner and the number of steps done; it must leave weights and
random state alone.
"""


@runtime_checkable
class Run(Protocol):
    """What is trained, where it lies, and what must not change while it is interrupted."""

    run: str
    stage: str
    seed: int
    resume: bool

    @property
    def folder(self) -> Path: ...
    @property
    def checkpoints(self) -> Path: ...
    @property
    def finished(self) -> Path: ...
    @property
    def metrics_file(self) -> Path: ...
    def facts(self) -> dict[str, Any]: ...


class Learner(ABC):
    """Everything that changes while a stage trains. ``saved_as``: the folder of its network in a
    checkpoint.
    """

    accelerator: Accelerator
    weights: Mapping[str, nn.Parameter]
    saved_as: str

    @property
    @abstractmethod
    def network(self) -> nn.Module:
        """The bare network, with diffusers' `save_pretrained`."""

    @abstractmethod
    def update(self, batch: Any, step: int) -> dict[str, float]:
        """One optimiser step (0-based); returns the row for the metrics file.

        Raises FloatingPointError, before any weight has changed, when loss or gradient is not
        finite."""

    @abstractmethod
    def averaged(self) -> AbstractContextManager[nn.Module]:
        """The network with its moving average, for as long as the block lasts."""

    @abstractmethod
    def state(self) -> TrainingState:
        """All that `restore` needs, beside the network's own weights."""

    def to_save(self) -> tuple[nn.Module, TrainingState] | None:
        """Network and state of a checkpoint, in the process that writes it. All processes call this
        together.
        """
        return (self.network, self.state()) if self.accelerator.is_main_process else None

    @abstractmethod
    def restore(self, folder: Path, state: TrainingState) -> None:
        """Go on from a checkpoint, bit for bit on the same machine; ``folder`` holds its network."""
