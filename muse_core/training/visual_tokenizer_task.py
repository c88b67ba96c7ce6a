"""`VisualTokenizerTask`: any system of Table 1, trained on pixels and by its own losses."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import Tensor

from muse_core.baselines.quantisers import more_codes_than
from muse_core.baselines.visual_tokenizer import Pass, VisualTokenizer
from muse_core.config.stage import Loss, Stage
from muse_core.data.batch import NO_LABEL, Batch
from muse_core.errors import MuseError, unknown
from muse_core.losses.adversarial import generator_loss
from muse_core.losses.objective import LossTerms, weighted_sum
from muse_core.losses.reconstruction import perceptual_loss, reconstruction_loss
from muse_core.models.discriminator import frozen_logits
from muse_core.paths import TOKENIZER_FOLDER
from muse_core.training.critic import Critic
from muse_core.training.distributed import mean_over_processes
from muse_core.training.freshness import callable_digest, own_code, weights_digest
from muse_core.training.fsdp import refuse
from muse_core.training.loss_terms import images_seen
from muse_core.training.optimiser import rate_factor, set_rates, trainable
from muse_core.training.saving import save_whole
from muse_core.training.system_card import write_system_card
from muse_core.training.task import Task
from muse_core.training.teachers import Targets, Teachers

LARGEST_RATIO = 1e4
"""Of an adaptive weight, as in Esser et al. 2021."""


@dataclass(frozen=True)
class PixelStep:
    """What a loss on pixels looks at: the pass, what teachers say, and the critic."""

    found: Pass
    targets: Targets
    critic: Critic

    def first(self, count: int) -> "PixelStep":
        """Of the first images."""
        whole = self.found
        cut = replace(
            whole, images=whole.images[:count], reconstruction=whole.reconstruction[:count]
        )
        return replace(self, found=cut, targets=self.targets.first(count))


def _reconstruction(step: PixelStep) -> Tensor:
    return reconstruction_loss(step.found.reconstruction, step.found.images)


def _perceptual(step: PixelStep) -> Tensor:
    seen = step.targets.teachers.perceptual(step.found.reconstruction)
    return perceptual_loss(seen, step.targets.features)


def _adversarial(step: PixelStep) -> Tensor:
    return generator_loss(frozen_logits(step.critic.network, step.found.reconstruction))


PIXEL_TERMS: dict[str, Callable[[PixelStep], Tensor]] = {
    Loss.RECONSTRUCTION: _reconstruction,
    Loss.PERCEPTUAL: _perceptual,
    Loss.ADVERSARIAL: _adversarial,
}
"""The losses on pixels that all systems share with MUSE."""


class VisualTokenizerTask(Task):
    """System, critic, optimiser and moving average of one stage."""

    saved_as = finished_as = TOKENIZER_FOLDER
    stage: Stage
    positions = 0
    """Codes of an image, where they are discrete."""

    def __init__(
        self,
        network: VisualTokenizer,
        stage: Stage,
        teachers: Teachers,
        losses: Mapping[str, Callable[[PixelStep], Tensor]] | None,
        accelerator: Accelerator,
    ) -> None:
        """``losses``: name -> function of a `PixelStep`, beside the system's own; None for
        `PIXEL_TERMS`. Raises MuseError for a weight of no loss, and where weights are asked for in
        shards.
        """
        refuse(accelerator, "Training a system of Table 1")
        self.stage, self.teachers, self.accelerator = stage, teachers, accelerator
        self.pixel_terms = dict(PIXEL_TERMS if losses is None else losses)
        self.start = weights_digest(network)
        self.network = network.to(accelerator.device)
        self.critic = Critic(stage, accelerator)
        self._prepare_weights()
        self.weights = trainable(self.network)
        optimiser = torch.optim.AdamW(
            self._groups(),
            lr=stage.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=stage.weight_decay,
            fused=True,
        )
        self.model, self.optimiser = accelerator.prepare(self.network, optimiser)
        self.optimisers = {
            "optimiser": (self.optimiser, self.network),
            "critic_optimiser": (self.critic.optimiser, self.critic.network),
        }
        self.helpers = {"critic": self.critic.network}
        self._say_codes()
        self.average = EMAModel(self.weights.values(), decay=stage.ema_decay, foreach=True)

    def _prepare_weights(self) -> None:
        """Gradients for all that the stage trains and a loss of it reaches; what is frozen is in
        eval mode as well.
        """
        network, frozen = self.network.train(), self.network.fixed
        if not self.stage.trains_backbone:
            frozen += network.pretrained
        for name, module in network.named_modules():
            if f"{name}.".startswith(frozen):
                module.eval()
        for name, weight in network.named_parameters():
            weight.requires_grad_(weight.requires_grad and not name.startswith(frozen))
        self._freeze_unheard()

    def _freeze_unheard(self) -> None:
        """Several processes would wait for the gradient of what no loss of the stage reaches."""
        side, device = self.network.config.image_size, self.accelerator.device
        with torch.random.fork_rng():
            images = torch.rand(2, 3, side, side, device=device)
            blank = Batch(images, ("a", "b"), torch.full((2,), NO_LABEL, device=device), ("", ""))
            targets = Targets(replace(self.teachers, cache=None), blank)
            found = self.network(images)
            if found.encoded.codes is not None:
                self.positions = found.encoded.codes.shape[1]
            self._check_losses(found, targets)
            total = self._terms(found, targets).total
        weights = list(trainable(self.network).values())
        if not weights or not total.requires_grad:
            raise MuseError(
                f"No loss of {self.stage.name} reaches a weight of {type(self.network).__name__}: "
                "look at fixed, at requires_grad, and for a detach between loss and weights."
            )
        gradients = torch.autograd.grad(total, weights, allow_unused=True)
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.requires_grad_(gradient is not None)

    def _check_losses(self, found: Pass, targets: Targets) -> None:
        """Raises MuseError for a loss of the system's own that no stage weights, or that is no
        single number.
        """
        kind, own = type(self.network).__name__, dict(self.network.own_losses(found, targets))
        if forgotten := own.keys() - {name for one in self.network.stages for name in one.own}:
            raise MuseError(
                f"{kind} has the loss {min(forgotten)!r}, which none of its stages weights: name "
                "it in stages, or leave it out."
            )
        if many := [name for name, loss in own.items() if loss.ndim]:
            raise MuseError(
                f"{kind}'s loss {many[0]!r} is {tuple(own[many[0]].shape)}: give its mean."
            )

    def _say_codes(self) -> None:
        """Print where a codebook is larger than the tokens that it will see."""
        if known := self.network.codebooks:
            tokens = self.stage.steps * self.stage.batch_size * self.positions
            if said := more_codes_than(tokens, known[1]):
                self.accelerator.print(said)

    def _groups(self) -> list[dict[str, Any]]:
        """Weights at the stage's rate, and those that were pretrained at their share of it."""
        rate, pretrained = self.stage.learning_rate, self.network.pretrained
        own = {name: w for name, w in self.weights.items() if not name.startswith(pretrained)}
        tuned = {name: w for name, w in self.weights.items() if name not in own}
        rates = {"own": (own, rate), "backbone": (tuned, rate * self.stage.backbone_rate)}
        return [
            {"name": name, "params": list(weights.values()), "peak_rate": peak}
            for name, (weights, peak) in rates.items()
            if weights
        ]

    def _terms(self, found: Pass, targets: Targets) -> LossTerms:
        """Every loss that the stage weights."""
        pixels = self.pixel_terms.keys() >= self.stage.weights.keys()
        own = {} if pixels else dict(self.network.own_losses(found, targets))
        step, count, parts = PixelStep(found, targets, self.critic), len(found.images), {}
        for name in self.stage.weights:
            if name in self.pixel_terms:
                seen = images_seen(self.stage, name, count)
                parts[str(name)] = self.pixel_terms[name](step.first(seen))
            elif name in own:
                parts[str(name)] = own[name]
            else:
                raise unknown("loss of this system", name, [*self.pixel_terms, *own])
        weights = {name: self.stage.weights[name] for name in parts}
        for name, at in self.network.adaptive().items():
            if name in parts:
                weights[name] *= self._ratio(parts, name, at)
        return weighted_sum(parts, weights)

    def _ratio(self, parts: Mapping[str, Tensor], name: str, at: Tensor) -> float:
        """Size of the pixel losses' gradient over that of a loss, at one weight."""
        if not at.requires_grad:
            return 1.0
        pixels = [
            self.stage.weights[each] * parts[each]
            for each in (Loss.RECONSTRUCTION, Loss.PERCEPTUAL)
            if each in parts
        ]
        if not pixels:
            return 1.0
        sizes = {}
        for which, loss in {"pixels": torch.stack(pixels).sum(), "own": parts[name]}.items():
            (gradient,) = torch.autograd.grad(loss, at, retain_graph=True)
            sizes[which] = gradient.norm().item()
        sizes = mean_over_processes(sizes, self.accelerator)
        return min(sizes["pixels"] / (sizes["own"] + 1e-4), LARGEST_RATIO)

    def update(self, batch: Batch, step: int) -> dict[str, float]:
        for optimiser in (self.optimiser, self.critic.optimiser):
            set_rates(optimiser, rate_factor(step, self.stage))
        with self.accelerator.autocast():
            found = self.model(batch.images)
            terms = self._terms(found, Targets(self.teachers, batch))
        losses = mean_over_processes(terms.as_floats(), self.accelerator)
        if not math.isfinite(losses["total"]):
            raise FloatingPointError(f"the loss is {losses['total']} ({losses})")
        critic_step = None
        if Loss.ADVERSARIAL in self.stage.weights:
            seen = images_seen(self.stage, Loss.ADVERSARIAL, len(batch))
            fake = found.reconstruction[:seen].detach()
            critic_step = self.critic.gradient(batch.images[:seen], fake)
        norms = self.descend(partial(self.accelerator.backward, terms.total))
        self.network.after_step((step + 1) / self.stage.steps)
        row = {f"loss/{name}": value for name, value in losses.items()}
        if critic_step is not None:
            row["loss/discriminator"] = critic_step()
        row |= {f"gradient_norm/{name}": norm for name, norm in norms.items()}
        return row | {"learning_rate": self.stage.learning_rate * rate_factor(step, self.stage)}

    def load(self, folder: Path) -> VisualTokenizer:
        return type(self.network).from_pretrained(folder)

    def save(self, averaged: VisualTokenizer, folder: Path) -> None:
        save_whole(averaged, folder)

    def describe(self, folder: Path, record: Any) -> None:
        write_system_card(folder, self.network, record)

    def finished(self, folder: Path) -> VisualTokenizer:
        return self.load(folder).to(self.accelerator.device).eval()

    def configuration(self) -> dict[str, Any]:
        kind = type(self.network)
        ours = kind.__module__.startswith("muse_core.")
        built = {k: v for k, v in self.network.config.items() if not k.startswith("_")}
        own = {n: f for n, f in self.pixel_terms.items() if PIXEL_TERMS.get(n) is not f}
        return {
            "system": kind.__name__ if ours else own_code(kind),
            "tokenizer": built,
            "start": self.start,
            "teachers": self.teachers.described(),
            "losses": {name: callable_digest(term) for name, term in own.items()},
        }

    def facts(self) -> dict[str, Any]:
        return {"perceptual_network": self.teachers.perceptual.name}

    def remembered(self) -> dict[str, Any]:
        return self.critic.remembered()

    def recall(self, facts: Mapping[str, Any]) -> None:
        self.critic.recall(facts)
