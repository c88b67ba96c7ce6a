"""`TokenizerTask`: a tokenizer and its critic, and one update of them by the losses of a stage."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel

from muse_core.config.stage import Loss, Stage, Surgery
from muse_core.data.batch import NO_LABEL, Batch
from muse_core.errors import MuseError
from muse_core.losses.objective import LossTerms
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.paths import TOKENIZER_FOLDER
from muse_core.training.checkpoint import TrainingState
from muse_core.training.critic import Critic
from muse_core.training.distributed import mean_over_processes
from muse_core.training.freshness import callable_digest, weights_digest
from muse_core.training.fsdp import Shards, average_copies, safe_to_fail, wanted
from muse_core.training.gradient_surgery import backward_without_conflict, task_losses
from muse_core.training.loss_terms import (
    TERMS,
    LossTerm,
    chosen_terms,
    forward_step,
    images_seen,
    uneven_shares,
)
from muse_core.training.model_card import write_model_card
from muse_core.training.optimiser import freeze, optimiser_for, rate_factor, set_rates, trainable
from muse_core.training.saving import save_whole
from muse_core.training.stage_record import StageRecord
from muse_core.training.task import Task
from muse_core.training.teachers import Teachers

UNSAID = {"form": "muse"}
"""A tokenizer's fields that came later, with what the configurations of earlier stages, which do
not have them, mean.
"""


class TokenizerTask(Task):
    """Tokenizer, critic, optimiser and moving average of one stage.

    Several processes hold a copy each, or the tokenizer in ``shards``; the critic always in copies.
    """

    saved_as = finished_as = TOKENIZER_FOLDER
    stage: Stage

    def __init__(
        self,
        tokenizer: MuseTokenizer,
        stage: Stage,
        teachers: Teachers,
        losses: Mapping[str, LossTerm] | None,
        accelerator: Accelerator,
    ) -> None:
        """Raises MuseError for a loss without a row, and for surgery in several processes."""
        if stage.surgery is not Surgery.NONE and accelerator.num_processes > 1:
            surgery = str(stage.surgery)
            raise MuseError(f"surgery={surgery!r} is for one process: run it without a launcher.")
        self.stage, self.teachers, self.accelerator = stage, teachers, accelerator
        self.losses = chosen_terms(stage, TERMS if losses is None else losses)
        for sentence in uneven_shares(stage, accelerator.num_processes):
            accelerator.print(f"{'shares':<13}{sentence}")
        self.start = self._start(tokenizer)
        self.tokenizer = self.network = tokenizer.to(accelerator.device)
        freeze(self.tokenizer, stage, {term.like for term in self.losses.values()})
        self.critic = Critic(stage, accelerator)
        self.discriminator = self.critic.network
        self._freeze_unheard()
        self.shards = Shards.of(self.tokenizer, accelerator) if wanted(accelerator) else None
        optimiser = optimiser_for(self.tokenizer, stage)
        self.model = accelerator.prepare(self.tokenizer) if self.shards is None else self.tokenizer
        self.optimiser = accelerator.prepare(optimiser)
        self.optimisers = {
            "optimiser": (self.optimiser, self.tokenizer),
            "critic_optimiser": (self.critic.optimiser, self.discriminator),
        }
        self.helpers = {"critic": self.discriminator}
        self.weights = trainable(self.tokenizer)
        self.average = EMAModel(self.weights.values(), decay=stage.ema_decay, foreach=True)
        self.captions_truncated = 0
        self.views = self._views()

    def _views(self) -> tuple[int, int]:
        """Images whose teacher's view was read from disk so far, and all that were asked for."""
        cache = self.teachers.cache
        return (cache.hits, cache.asked) if cache else (0, 0)

    def _freeze_unheard(self) -> None:
        """Freeze what no loss of the stage has a path to, though its routing leaves it open:
        several processes would wait for its gradient.
        """
        side, device = self.tokenizer.config.image_size, self.accelerator.device
        with torch.random.fork_rng():
            images = torch.rand(2, 3, side, side, device=device)
        blank = Batch(images, ("a", "b"), torch.full((2,), NO_LABEL, device=device), ("", ""))
        teachers = replace(self.teachers, cache=None)
        networks = self.tokenizer, self.tokenizer, self.discriminator, teachers
        stage = replace(self.stage, shares={})
        terms, _ = forward_step(*networks, blank, stage, self.losses)
        weights = list(trainable(self.tokenizer).values())
        gradients = torch.autograd.grad(terms.total, weights, allow_unused=True)
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.requires_grad_(gradient is not None)

    def update(self, batch: Batch, step: int) -> dict[str, float]:
        with safe_to_fail(self.model):
            return self._update(batch, step)

    def _update(self, batch: Batch, step: int) -> dict[str, float]:
        for optimiser in (self.optimiser, self.critic.optimiser):
            set_rates(optimiser, rate_factor(step, self.stage))
        with self.accelerator.autocast():
            networks = self.model, self.tokenizer, self.discriminator, self.teachers
            before = self.teachers.text.truncated
            terms, output = forward_step(*networks, batch, self.stage, self.losses)
            self.captions_truncated += self.teachers.text.truncated - before
        losses = mean_over_processes(terms.as_floats(), self.accelerator)
        if not math.isfinite(losses["total"]):
            raise FloatingPointError(f"the loss is {losses['total']} ({losses})")
        critic_step = None
        if Loss.ADVERSARIAL in self.stage.weights:
            seen = images_seen(self.stage, Loss.ADVERSARIAL, len(batch))
            fake = output.reconstruction[:seen].detach()
            critic_step = self.critic.gradient(batch.images[:seen], fake)
        norms = self.descend(partial(self._backward, terms))
        row = {f"loss/{name}": value for name, value in losses.items()}
        if critic_step is not None:
            row["loss/discriminator"] = critic_step()
        row |= {f"gradient_norm/{name}": norm for name, norm in norms.items()}
        return row | {"learning_rate": self.stage.learning_rate * rate_factor(step, self.stage)}

    def _backward(self, terms: LossTerms) -> None:
        if self.stage.surgery is Surgery.NONE:
            self.accelerator.backward(terms.total)
            if self.shards is not None:
                average_copies(self.weights.values(), self.accelerator)
        else:
            tasks = task_losses(terms, self.stage.weights, self.losses)
            backward_without_conflict(tasks, list(self.weights.values()))

    @contextmanager
    def averaged(self) -> Iterator[MuseTokenizer]:
        """The tokenizer with its moving average; all processes enter it together."""
        if self.shards is None:
            with super().averaged() as averaged:
                yield averaged
        else:
            yield self.shards.whole(self.means(), self.accelerator.device)

    def to_save(self) -> tuple[Any, TrainingState] | None:
        """From shards all processes gather, and the first keeps what is found."""
        if self.shards is None:
            return super().to_save()
        writes = self.accelerator.is_main_process
        network, state = self.shards.whole({}, kept=writes), self.state(kept=writes)
        return (network, state) if writes else None

    def load(self, folder: Path) -> MuseTokenizer:
        return MuseTokenizer.from_pretrained(folder)

    def save(self, averaged: MuseTokenizer, folder: Path) -> None:
        save_whole(averaged, folder)

    def describe(self, folder: Path, record: StageRecord) -> None:
        write_model_card(folder, record)

    def finished(self, folder: Path) -> MuseTokenizer:
        return self.load(folder).to(self.accelerator.device).eval()

    def configuration(self) -> dict[str, Any]:
        own = {name: term for name, term in self.losses.items() if TERMS.get(name) != term}
        built = self.tokenizer.config.items()
        return {
            "tokenizer": {
                k: v for k, v in built if not k.startswith("_") and (k, v) not in UNSAID.items()
            },
            "start": self.start,
            "teachers": self.teachers.described(),
            "losses": {name: callable_digest(term.compute) for name, term in own.items()},
        }

    def facts(self) -> dict[str, Any]:
        hits, asked = (now - before for now, before in zip(self._views(), self.views, strict=True))
        return {
            "routing": self.tokenizer.routing.name,
            "perceptual_network": self.teachers.perceptual.name,
            "captions_truncated": self.captions_truncated,
            "targets_read": round(hits / max(1, asked), 4),
        }

    def remembered(self) -> dict[str, Any]:
        return self.critic.remembered() | {"captions_truncated": self.captions_truncated}

    def recall(self, facts: Mapping[str, Any]) -> None:
        self.critic.recall(facts)
        self.captions_truncated = facts["captions_truncated"]

    def _start(self, tokenizer: MuseTokenizer) -> str:
        """Which weights the stage begins with.

        A new tokenizer's latent is calibrated by least squares, whose last bits differ between
        machines: it is left out there.
        """
        ignored = "to_latent." if self.stage.starts_from is None else None
        return weights_digest(tokenizer, ignored)
