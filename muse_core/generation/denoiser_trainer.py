"""`GeneratorTrainer`: everything that changes while a denoiser trains, and one update of it."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers import SanaTransformer2DModel
from diffusers.training_utils import EMAModel
from torch import Tensor

from muse_core.config.stage import GenerationStage
from muse_core.foundations.text_tower import TextTower
from muse_core.generation.caption_embeddings import conditioning
from muse_core.generation.denoiser import load_denoiser, velocity
from muse_core.generation.latent_normalisation import LatentNormalisation
from muse_core.generation.latents import LatentBatch
from muse_core.losses.flow_matching import flow_matching_loss, logit_normal_times, noised
from muse_core.training.checkpoint import (
    TrainingState,
    names_of,
    optimiser_tensors,
    restore_optimiser,
    under,
)
from muse_core.training.learner import Learner
from muse_core.training.optimiser import clip_groups, rate_factor, set_rates
from muse_core.training.processes import mean_over_processes, own_part


class GeneratorTrainer(Learner):
    """Denoiser, optimiser and EMA; text tower and latent statistics stay as they are."""

    saved_as = "denoiser"

    def __init__(
        self,
        denoiser: SanaTransformer2DModel,
        stage: GenerationStage,
        normalisation: LatentNormalisation,
        text: TextTower,
        accelerator: Accelerator,
    ) -> None:
        self.stage, self.accelerator = stage, accelerator
        self.normalisation = normalisation.to(accelerator.device)
        self.text = text.to(accelerator.device).eval().requires_grad_(False)
        self.denoiser = denoiser.to(accelerator.device).train()
        self.weights = dict(self.denoiser.named_parameters())
        group = {
            "name": "denoiser",
            "params": list(self.weights.values()),
            "peak_rate": stage.learning_rate,
        }
        optimiser = torch.optim.AdamW(
            [group], lr=stage.learning_rate, betas=(0.9, 0.99), weight_decay=stage.weight_decay
        )
        self.model, self.optimiser = accelerator.prepare(self.denoiser, optimiser)
        self.average = EMAModel(self.weights.values(), decay=stage.ema_decay)

    @property
    def network(self) -> SanaTransformer2DModel:
        return self.denoiser

    def update(self, batch: LatentBatch, step: int) -> dict[str, float]:
        """One optimiser step (0-based) on raw latents; returns the row for the metrics file.

        Raises FloatingPointError, before any weight has changed, when loss or gradient is not
        finite."""
        set_rates(self.optimiser, rate_factor(step, self.stage))
        with self.accelerator.autocast():
            loss = self._loss(batch)
        row = mean_over_processes({"loss/flow_matching": loss.item()}, self.accelerator)
        if not math.isfinite(row["loss/flow_matching"]):
            raise FloatingPointError(f"the loss is {row['loss/flow_matching']}")
        self.optimiser.zero_grad()
        self.accelerator.backward(loss)
        norm = clip_groups(self.optimiser, self.stage.clip_norm)["denoiser"]
        if not math.isfinite(norm):
            raise FloatingPointError(f"the gradient's norm is {norm}")
        self.optimiser.step()
        self.average.step(self.weights.values())
        rate = self.stage.learning_rate * rate_factor(step, self.stage)
        return row | {"gradient_norm/denoiser": norm, "learning_rate": rate}

    def _loss(self, batch: LatentBatch) -> Tensor:
        stage, data = self.stage, self.normalisation.normalise(batch.latents)
        own, images = (
            partial(own_part, accelerator=self.accelerator),
            len(batch) * self.accelerator.num_processes,
        )
        dropped = (own(torch.rand(images)) < stage.caption_dropout).tolist()
        captions = [
            "" if drop else caption for drop, caption in zip(dropped, batch.captions, strict=True)
        ]
        time = own(logit_normal_times(images, stage.time_mean, stage.time_spread, stage.shift)).to(
            data
        )
        noise = own(torch.randn(images, *data.shape[1:])).to(
            data
        )  # drawn on the CPU: the same for every device
        prompts = conditioning(self.text.network, self.text.tokenizer, captions)
        return flow_matching_loss(
            velocity(self.model, noised(data, noise, time), time, prompts), data, noise
        )

    @contextmanager
    def averaged(self) -> Iterator[SanaTransformer2DModel]:
        """The denoiser with its EMA weights, in eval mode, for as long as the block lasts."""
        self.average.store(self.weights.values())
        self.average.copy_to(self.weights.values())
        self.denoiser.eval()
        try:
            yield self.denoiser
        finally:
            self.denoiser.train()
            self.average.restore(self.weights.values())

    def state(self) -> TrainingState:
        tensors = {
            f"ema/{name}": mean
            for name, mean in zip(self.weights, self.average.shadow_params, strict=True)
        }
        tensors |= optimiser_tensors(self.optimiser.optimizer, names_of(self.denoiser), "optimiser")
        tensors["rng/cpu"] = torch.get_rng_state()
        cpu = {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}
        return TrainingState(cpu, {"ema_steps": self.average.optimization_step})

    def restore(self, folder: Path, state: TrainingState) -> None:
        self.denoiser.load_state_dict(load_denoiser(folder).state_dict())
        restore_optimiser(
            self.optimiser.optimizer, names_of(self.denoiser), "optimiser", state.tensors
        )
        averages = under("ema/", state.tensors)
        self.average.shadow_params = [
            averages[name].to(self.accelerator.device) for name in self.weights
        ]
        self.average.optimization_step = state.facts["ema_steps"]
        torch.set_rng_state(state.tensors["rng/cpu"])
