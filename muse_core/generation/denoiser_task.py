"""`DenoiserTask`: a denoiser trained by flow matching on a tokenizer's latents."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from diffusers import FlowMatchEulerDiscreteScheduler, SanaTransformer2DModel
from torch import Tensor

from muse_core.config.stage import GenerationStage
from muse_core.foundations.text_tower import TextTower
from muse_core.generation.caption_embeddings import conditioning
from muse_core.generation.codecs import Codec
from muse_core.generation.denoiser import load_denoiser, velocity
from muse_core.generation.latent_normalisation import LatentNormalisation
from muse_core.generation.latents import LatentBatch
from muse_core.generation.pipeline import MusePipeline, check_folder
from muse_core.losses.flow_matching import flow_matching_loss, logit_normal_times, noised
from muse_core.losses.objective import as_floats
from muse_core.training.distributed import mean_over_processes, own_part
from muse_core.training.freshness import callable_digest, weights_digest
from muse_core.training.fsdp import refuse
from muse_core.training.optimiser import rate_factor, set_rates
from muse_core.training.saving import save_whole
from muse_core.training.task import Task

PIPELINE_FOLDER = "pipeline"


@dataclass(frozen=True)
class Conditions:
    """What stays as it is while a denoiser trains.

    Args:
        codec: What made the latents, and makes images of them.
        normalisation: Mean and spread of each latent channel.
        text: The tower that reads prompts.
        known_words: Words of the training captions, for the pipeline's notes.
    """

    codec: Codec
    normalisation: LatentNormalisation
    text: TextTower
    known_words: str = ""


class DenoiserTask(Task):
    """Denoiser, optimiser and moving average, for `muse_core.training.trainer.Trainer`.

    Losses are functions of the predicted velocity, the normalised latents and the noise, all of one
    shape; `flow_matching_loss` where none is given.
    """

    saved_as, finished_as = "denoiser", PIPELINE_FOLDER
    stage: GenerationStage

    def __init__(
        self,
        denoiser: SanaTransformer2DModel,
        stage: GenerationStage,
        conditions: Conditions,
        losses: Mapping[str, Any] | None,
        accelerator: Accelerator,
    ) -> None:
        """Raises MuseError where weights are asked for in shards."""
        refuse(accelerator, "The generator's training")
        device = accelerator.device
        self.stage, self.accelerator, self.conditions = stage, accelerator, conditions
        self.losses = losses or {"flow_matching": flow_matching_loss}
        self.start = weights_digest(denoiser)
        self.normalisation = conditions.normalisation.to(device)
        self.text = conditions.text.to(device).eval().requires_grad_(False)
        self.denoiser = self.network = denoiser.to(device).train()
        self.train_as_one("denoiser", denoiser, dict(denoiser.named_parameters()))

    def update(self, batch: LatentBatch, step: int) -> dict[str, float]:
        set_rates(self.optimiser, rate_factor(step, self.stage))
        with self.accelerator.autocast():
            losses = self._losses(batch)
        row = {f"loss/{name}": loss for name, loss in as_floats(losses).items()}
        row = mean_over_processes(row, self.accelerator)
        if not all(map(math.isfinite, row.values())):
            raise FloatingPointError(f"the loss is {row}")
        total = torch.stack(list(losses.values())).sum()
        norms = self.descend(partial(self.accelerator.backward, total))
        rate = self.stage.learning_rate * rate_factor(step, self.stage)
        return row | {"gradient_norm/denoiser": norms["denoiser"], "learning_rate": rate}

    def _losses(self, batch: LatentBatch) -> dict[str, Tensor]:
        """Name -> loss. Captions to drop, times and noise are drawn on the CPU for the whole step:
        the same for every device and number of processes.
        """
        stage, data = self.stage, self.normalisation.normalise(batch.latents)
        own = partial(own_part, accelerator=self.accelerator)
        images = len(batch) * self.accelerator.num_processes
        dropped = (own(torch.rand(images)) < stage.caption_dropout).tolist()
        pairs = zip(dropped, batch.captions, strict=True)
        captions = ["" if drop else caption for drop, caption in pairs]
        times = logit_normal_times(images, stage.time_mean, stage.time_spread, stage.shift)
        time = own(times).to(data)
        noise = own(torch.randn(images, *data.shape[1:])).to(data)
        prompts = conditioning(self.text, captions)
        predicted = velocity(self.model, noised(data, noise, time), time, prompts)
        return {name: loss(predicted, data, noise) for name, loss in self.losses.items()}

    def load(self, folder: Path) -> SanaTransformer2DModel:
        return load_denoiser(folder)

    def save(self, averaged: SanaTransformer2DModel, folder: Path) -> None:
        save_whole(self.pipeline(averaged), folder)

    def finished(self, folder: Path) -> MusePipeline:
        check_folder(folder, MusePipeline.__name__, ("vae",))
        denoiser = load_denoiser(folder / "transformer").eval()
        pipeline = self.pipeline(denoiser).to(self.accelerator.device)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    def pipeline(self, denoiser: SanaTransformer2DModel) -> MusePipeline:
        """A denoiser with all it needs to draw."""
        return MusePipeline(
            self.conditions.codec.network,
            self.text.network,
            self.text.tokenizer,
            denoiser,
            FlowMatchEulerDiscreteScheduler(shift=self.stage.shift),
            self.normalisation,
            self.conditions.known_words,
        )

    def configuration(self) -> dict[str, Any]:
        own = {name: loss for name, loss in self.losses.items() if loss is not flow_matching_loss}
        return {
            "tokenizer": self.conditions.codec.fingerprint,
            "start": self.start,
            "losses": {name: callable_digest(loss) for name, loss in own.items()},
        }
