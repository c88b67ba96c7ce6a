"""`Trainer`: everything that changes while a stage trains, and one update of it."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from muse_core.config.stage import Loss, Stage, Surgery
from muse_core.data.batch import Batch
from muse_core.errors import MuseError, unknown
from muse_core.losses.adversarial import LeCamAnchors, discriminator_loss, lecam_penalty
from muse_core.losses.objective import LossTerms
from muse_core.models.discriminator import PatchDiscriminator
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.shapes import Images
from muse_core.training.checkpoint import (
    TOKENIZER_FOLDER,
    TrainingState,
    names_of,
    optimiser_tensors,
    restore_optimiser,
    under,
)
from muse_core.training.fsdp import Shards, safe_to_fail, take_request, wanted
from muse_core.training.gradient_surgery import backward_without_conflict, task_losses
from muse_core.training.launch import ALONE, Launch
from muse_core.training.learner import Learner
from muse_core.training.optimiser import (
    clip_groups,
    freeze,
    optimiser_for,
    rate_factor,
    set_rates,
    trainable,
)
from muse_core.training.processes import mean_over_processes
from muse_core.training.sharded_tensors import average_copies, part_of, whole
from muse_core.training.step import forward_step
from muse_core.training.teachers import Teachers

LECAM_WEIGHT = 0.001
"""As in the authors' release."""
DEVICES = ("auto", "cpu", "cuda", "mps")


def accelerator_for(device: str, launch: Launch = ALONE) -> Accelerator:
    """bf16 on a CUDA device that has it, fp32 elsewhere.

    Raises MuseError for a device this machine lacks, and when a launcher did not start the
    processes that ``launch`` asks for."""
    take_request()
    if device not in DEVICES:
        raise unknown("device", device, DEVICES)
    present = {
        "auto": True,
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not present[device]:
        raise MuseError(
            f"This machine has no {device} device: use device='cpu', or 'auto' for the best one there is."
        )
    half = (
        device in ("auto", "cuda")
        and torch.cuda.is_available()
        and torch.cuda.is_bf16_supported(False)
    )
    no_gpu = device == "auto" and not (
        present["cuda"] or present["mps"]
    )  # Accelerate starts one process if not told
    accelerator = Accelerator(
        cpu=device == "cpu" or no_gpu, mixed_precision="bf16" if half else "no"
    )
    if launch.processes not in (1, accelerator.num_processes):
        raise MuseError(
            f"{launch.processes} processes were asked for and the launcher started {accelerator.num_processes}: "
            "start them with torchrun (`accelerate launch --cpu` starts one only)."
        )
    return accelerator


class Trainer(Learner):
    """Tokenizer, critic, optimisers, EMA and LeCam anchors of one stage.

    Several processes hold a copy each, or the tokenizer in ``shards``; the critic always in copies.
    """

    saved_as = TOKENIZER_FOLDER

    def __init__(
        self, tokenizer: MuseTokenizer, stage: Stage, teachers: Teachers, accelerator: Accelerator
    ) -> None:
        if stage.surgery is not Surgery.NONE and accelerator.num_processes > 1:
            raise MuseError(
                f"surgery={str(stage.surgery)!r} is for one process: run it without a launcher."
            )
        self.stage, self.teachers, self.accelerator = stage, teachers, accelerator
        self.tokenizer = tokenizer.to(accelerator.device)
        freeze(self.tokenizer, stage)
        self.shards = Shards.of(self.tokenizer, accelerator) if wanted(accelerator) else None
        self.discriminator = PatchDiscriminator().to(accelerator.device)
        optimiser = optimiser_for(self.tokenizer, stage)
        critic_optimiser = torch.optim.AdamW(
            [
                {
                    "name": "discriminator",
                    "params": list(self.discriminator.parameters()),
                    "peak_rate": stage.learning_rate * stage.discriminator_rate,
                }
            ],
            betas=(0.5, 0.99),
        )
        self.model = accelerator.prepare(self.tokenizer) if self.shards is None else self.tokenizer
        self.critic, self.optimiser, self.critic_optimiser = accelerator.prepare(
            self.discriminator, optimiser, critic_optimiser
        )
        self.weights = trainable(self.tokenizer)
        self.average = EMAModel(self.weights.values(), decay=stage.ema_decay)
        self.anchors = LeCamAnchors()

    @property
    def network(self) -> MuseTokenizer:
        return self.tokenizer

    def update(self, batch: Batch, step: int) -> dict[str, float]:
        """One optimiser step (0-based) on a batch; returns the row for the metrics file.

        Raises FloatingPointError, before any weight has changed, when a loss or a gradient is not
        finite."""
        with safe_to_fail(self.model):
            return self._update(batch, step)

    def _update(self, batch: Batch, step: int) -> dict[str, float]:
        for optimiser in (self.optimiser, self.critic_optimiser):
            set_rates(optimiser, rate_factor(step, self.stage))
        with self.accelerator.autocast():
            terms, output = forward_step(
                self.model, self.tokenizer, self.discriminator, self.teachers, batch, self.stage
            )
        losses = mean_over_processes(terms.as_floats(), self.accelerator)
        if not math.isfinite(losses["total"]):
            raise FloatingPointError(f"the loss is {losses['total']} ({losses})")
        critic_step = None
        if Loss.ADVERSARIAL in self.stage.weights:
            critic_step = self._critic_gradient(batch.images, output.reconstruction.detach())
        norms = self._descend(terms)
        row = {f"loss/{name}": value for name, value in losses.items()}
        if critic_step is not None:
            row["loss/discriminator"] = critic_step()
        row |= {f"gradient_norm/{name}": norm for name, norm in norms.items()}
        return row | {"learning_rate": self.stage.learning_rate * rate_factor(step, self.stage)}

    def _descend(self, terms: LossTerms) -> dict[str, float]:
        self.optimiser.zero_grad()
        self._backward(terms)
        norms = clip_groups(self.optimiser, self.stage.clip_norm)
        if not all(map(math.isfinite, norms.values())):
            raise FloatingPointError(f"the gradient is not finite ({norms})")
        self.optimiser.step()
        self.average.step(self.weights.values())
        return dict(norms)

    def _backward(self, terms: LossTerms) -> None:
        if self.stage.surgery is Surgery.NONE:
            self.accelerator.backward(terms.total)
            if self.shards is not None:
                average_copies(self.weights.values(), self.accelerator)
        else:
            backward_without_conflict(
                task_losses(terms, self.stage.weights), list(self.weights.values())
            )

    def _critic_gradient(self, real: Images, fake: Images) -> Callable[[], float]:
        """The critic's gradient, and the function that takes its step and returns its loss.

        Raises FloatingPointError when either is not finite.
        """
        with self.accelerator.autocast():
            real_logits, fake_logits = self.critic(real), self.critic(fake)
            loss = discriminator_loss(real_logits, fake_logits)
            regularised = loss + LECAM_WEIGHT * lecam_penalty(
                real_logits, fake_logits, self.anchors
            )
        self.critic_optimiser.zero_grad()
        self.accelerator.backward(regularised)
        noted = {
            "loss": loss.item(),
            "real": real_logits.mean().item(),
            "fake": fake_logits.mean().item(),
        }
        noted = mean_over_processes(noted, self.accelerator)
        norm = nn.utils.get_total_norm([weight.grad for weight in self.discriminator.parameters()])
        if not (math.isfinite(noted["loss"]) and torch.isfinite(norm)):
            raise FloatingPointError(
                f"the critic's loss is {noted['loss']}, its gradient's norm {norm.item()}"
            )

        def step() -> float:
            self.critic_optimiser.step()
            self.anchors.update(noted["real"], noted["fake"])
            return noted["loss"]

        return step

    @contextmanager
    def averaged(self) -> Iterator[MuseTokenizer]:
        """The tokenizer with its EMA weights, for as long as the block lasts; all processes enter
        it together.

        Where it is in shards, a whole one is made in each.
        """
        if self.shards is not None:
            yield self.shards.whole(self._means(), self.accelerator.device)
            return
        self.average.store(self.weights.values())
        self.average.copy_to(self.weights.values())
        try:
            yield self.tokenizer
        finally:
            self.average.restore(self.weights.values())

    def state(self) -> TrainingState:
        """All that `restore` needs, beside the tokenizer's own weights.

        From shards all processes gather it together, and the first has it.
        """
        tensors = {f"ema/{name}": mean for name, mean in self._means().items()}
        tensors |= {
            f"critic/{name}": value for name, value in self.discriminator.state_dict().items()
        }
        tensors |= optimiser_tensors(
            self.optimiser.optimizer, names_of(self.tokenizer), "optimiser"
        )
        tensors |= optimiser_tensors(
            self.critic_optimiser.optimizer, names_of(self.discriminator), "critic_optimiser"
        )
        tensors["rng/cpu"] = torch.get_rng_state()
        if torch.cuda.is_available():
            tensors["rng/cuda"] = torch.cuda.get_rng_state()
        facts = {
            "ema_steps": self.average.optimization_step,
            "lecam": [self.anchors.real, self.anchors.fake],
            "captions_truncated": self.teachers.text.truncated,
        }
        return TrainingState(
            whole(tensors, kept=self.shards is None or self.accelerator.is_main_process), facts
        )

    def _means(self) -> dict[str, Tensor]:
        return dict(zip(self.weights, self.average.shadow_params, strict=True))

    def to_save(self) -> tuple[nn.Module, TrainingState] | None:
        if self.shards is None:
            return super().to_save()
        writes = self.accelerator.is_main_process
        network, state = self.shards.whole({}, kept=writes), self.state()
        return (network, state) if writes else None

    def restore(self, folder: Path, state: TrainingState) -> None:
        """Go on from a checkpoint, bit for bit on the same machine; ``folder`` holds its tokenizer."""
        tensors = state.tensors
        saved, own = MuseTokenizer.from_pretrained(folder).state_dict(), self.tokenizer.state_dict()
        self.tokenizer.load_state_dict(
            {name: part_of(value, own[name]) for name, value in saved.items()}
        )
        self.discriminator.load_state_dict(under("critic/", tensors))
        restore_optimiser(self.optimiser.optimizer, names_of(self.tokenizer), "optimiser", tensors)
        restore_optimiser(
            self.critic_optimiser.optimizer,
            names_of(self.discriminator),
            "critic_optimiser",
            tensors,
        )
        averages = under("ema/", tensors)
        self.average.shadow_params = [
            part_of(averages[name], weight) for name, weight in self.weights.items()
        ]
        self.average.optimization_step = state.facts["ema_steps"]
        self.anchors = LeCamAnchors(*state.facts["lecam"])
        self.teachers.text.truncated = state.facts.get(
            "captions_truncated", 0
        )  # older checkpoints do not say
        torch.set_rng_state(tensors["rng/cpu"])
        if torch.cuda.is_available() and "rng/cuda" in tensors:
            torch.cuda.set_rng_state(tensors["rng/cuda"])
