"""`Task`: what one kind of network is trained for. The trainer knows steps; a task knows the
update.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from muse_core.config.stage import Schedule
from muse_core.training.checkpoint import (
    TrainingState,
    names_of,
    optimiser_tensors,
    restore_optimiser,
    under,
)
from muse_core.training.fsdp import part_of, whole
from muse_core.training.optimiser import clip_groups


class Task(ABC):
    """A network with all that changes while it trains: optimisers, moving average, helpers.

    A leaf sets the attributes below in its constructor, and says how one update goes, which files
    hold its network, and what it is trained with.
    """

    saved_as: str
    """The folder of the network in a checkpoint."""
    finished_as: str
    """The folder of what the stage leaves, beside its checkpoints."""
    stage: Schedule
    accelerator: Accelerator
    network: Any
    """The bare network, with diffusers' ``save_pretrained``."""
    model: Any
    """The same as Accelerate prepared it."""
    weights: Mapping[str, nn.Parameter]
    """What is trained, by name."""
    average: EMAModel
    optimiser: Any
    """Of the weights above; Accelerate prepared it."""
    optimisers: dict[str, tuple[Any, nn.Module]]
    """Name in a checkpoint -> (optimiser as Accelerate prepared it, the module it steps)."""
    helpers: dict[str, nn.Module]
    """Name in a checkpoint -> a module that trains beside the network, a critic for example."""

    @abstractmethod
    def update(self, batch: Any, step: int) -> dict[str, float]:
        """One optimiser step.

        Args:
            batch: What the data yields, on the task's device.
            step: How many steps are done.

        Returns:
            The row of the metrics file.

        Raises:
            FloatingPointError: Loss or gradient is not finite; no weight has changed.
        """

    def train_as_one(
        self, name: str, network: nn.Module, weights: Mapping[str, nn.Parameter]
    ) -> None:
        """Set up what a task has that trains one network at one rate, with nothing beside it.

        Args:
            name: Of its weight group, in records.
            network: On the task's device.
            weights: Those of its weights that are trained, by name.
        """
        stage, trained = self.stage, list(weights.values())
        group = {"name": name, "params": trained, "peak_rate": stage.learning_rate}
        optimiser = torch.optim.AdamW(
            [group], lr=stage.learning_rate, betas=(0.9, 0.99), weight_decay=stage.weight_decay
        )
        self.weights, self.helpers = weights, {}
        self.model, self.optimiser = self.accelerator.prepare(network, optimiser)
        self.optimisers = {"optimiser": (self.optimiser, network)}
        self.average = EMAModel(trained, decay=stage.ema_decay, foreach=True)

    def descend(self, backward: Callable[[], None]) -> dict[str, float]:
        """One step of the network by the gradients that ``backward`` leaves, and of its average.

        Returns:
            Weight group -> norm of its gradient, before it was clipped.

        Raises:
            FloatingPointError: A gradient is not finite; no weight has changed.
        """
        self.optimiser.zero_grad()
        backward()
        norms = clip_groups(self.optimiser, self.stage.clip_norm)
        if not all(map(math.isfinite, norms.values())):
            raise FloatingPointError(f"the gradient is not finite ({norms})")
        self.optimiser.step()
        self.average.step(self.weights.values())
        return norms

    @abstractmethod
    def load(self, folder: Path) -> nn.Module:
        """The network that a checkpoint's folder holds."""

    @abstractmethod
    def save(self, averaged: Any, folder: Path) -> None:
        """Write what the stage leaves; one process calls it.

        Args:
            averaged: What `averaged` gave.
        """

    @abstractmethod
    def finished(self, folder: Path) -> Any:
        """What `save` wrote, ready to use on the task's device."""

    @abstractmethod
    def configuration(self) -> dict[str, Any]:
        """What it is trained with, beside stage, data and seed, as plain values."""

    def describe(self, folder: Path, record: Any) -> None:
        """Write what a reader of the finished folder should know, from the stage's record."""

    def facts(self) -> dict[str, Any]:
        """Plain values of the record that only this kind of network has."""
        return {}

    def remembered(self) -> dict[str, Any]:
        """Plain values that a checkpoint keeps; `recall` takes them back."""
        return {}

    def recall(self, facts: Mapping[str, Any]) -> None:
        """The inverse of `remembered`."""

    def to_save(self) -> tuple[Any, TrainingState] | None:
        """Network and state of a checkpoint, in the process that writes it, None in the others.

        All processes call it together.
        """
        return (self.network, self.state()) if self.accelerator.is_main_process else None

    def means(self) -> dict[str, Tensor]:
        """Name -> moving average of a trained weight."""
        return dict(zip(self.weights, self.average.shadow_params, strict=True))

    @contextmanager
    def averaged(self) -> Iterator[Any]:
        """The network with its moving average, for as long as the block lasts."""
        self.average.store(self.weights.values())
        self.average.copy_to(self.weights.values())
        try:
            yield self.network
        finally:
            self.average.restore(self.weights.values())

    def state(self, kept: bool = True) -> TrainingState:
        """All that `restore` needs, beside the network's own weights.

        Args:
            kept: Whether this process keeps what is gathered; all take part where weights are
                sharded.
        """
        tensors = {f"ema/{name}": mean for name, mean in self.means().items()}
        for name, module in self.helpers.items():
            tensors |= {f"{name}/{key}": value for key, value in module.state_dict().items()}
        for name, (optimiser, module) in self.optimisers.items():
            tensors |= optimiser_tensors(optimiser.optimizer, names_of(module), name)
        tensors["rng/cpu"] = torch.get_rng_state()
        if torch.cuda.is_available():
            tensors["rng/cuda"] = torch.cuda.get_rng_state()
        facts = {"ema_steps": self.average.optimization_step, **self.remembered()}
        return TrainingState(whole(tensors, kept=kept), facts)

    def restore(self, folder: Path, state: TrainingState) -> None:
        """Go on from a checkpoint, bit for bit on the same machine; ``folder`` holds
        its network.
        """
        tensors, own = state.tensors, self.network.state_dict()
        saved = self.load(folder).state_dict()
        self.network.load_state_dict({name: part_of(saved[name], own[name]) for name in saved})
        for name, module in self.helpers.items():
            module.load_state_dict(under(f"{name}/", tensors))
        for name, (optimiser, module) in self.optimisers.items():
            restore_optimiser(optimiser.optimizer, names_of(module), name, tensors)
        means = under("ema/", tensors)
        self.average.shadow_params = [part_of(means[name], w) for name, w in self.weights.items()]
        self.average.optimization_step = state.facts["ema_steps"]
        self.recall(state.facts)
        torch.set_rng_state(tensors["rng/cpu"])
        if torch.cuda.is_available() and "rng/cuda" in tensors:
            torch.cuda.set_rng_state(tensors["rng/cuda"])
