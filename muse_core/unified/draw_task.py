"""`DrawTask`: queries, connector and denoiser learn to draw, and to edit, what a frozen language
model understood.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from muse_core.config.stage import DrawingStage
from muse_core.errors import MuseError
from muse_core.foundations.language_model import LanguageModel
from muse_core.foundations.text_tower import TextTower
from muse_core.generation.caption_embeddings import conditioning
from muse_core.generation.latent_normalisation import LatentNormalisation
from muse_core.losses.flow_matching import (
    flow_matching_loss,
    logit_normal_times,
    noised,
    weight_of_changes,
)
from muse_core.losses.objective import as_floats
from muse_core.losses.text_alignment import text_alignment_loss
from muse_core.training.distributed import mean_over_processes, own_part
from muse_core.training.freshness import weights_digest
from muse_core.training.fsdp import refuse
from muse_core.training.optimiser import rate_factor, set_rates
from muse_core.training.saving import save_whole
from muse_core.training.task import Task
from muse_core.unified.drawer import Drawer, SeenImage, Understood, understood
from muse_core.unified.drawn_pairs import PaintedBatch
from muse_core.unified.projector import VisualProjector

DRAWER_FOLDER = "drawer"


@dataclass(frozen=True)
class Reader:
    """What stays as it is while a drawer trains.

    Args:
        language_model: Reads prompts, images and queries.
        normalisation: Mean and spread of each latent channel.
        projector: Makes words of an image that is edited; None where nothing is.
        grid: Of the tokens that the projector reads.
        text: The text tower that the denoiser has learnt to read; None where nothing is aligned.
    """

    language_model: LanguageModel
    normalisation: LatentNormalisation
    projector: VisualProjector | None = None
    grid: tuple[int, int] = (0, 0)
    text: TextTower | None = None


def check_stage(stage: DrawingStage, reader: Reader) -> None:
    """Raises MuseError where a stage edits without a projector, aligns without a text tower, or
    trains nothing.
    """
    if stage.edit_share and reader.projector is None:
        raise MuseError(
            "Images are to be edited and no projector makes words of them: train one first "
            "(notebook 10, first half), or give edit_share=0."
        )
    if stage.aligns and reader.text is None:
        raise MuseError(
            f"{stage.name} aligns prompts with a text tower, and there is none: give aligns=False."
        )
    if not (stage.trains_connector or stage.moves_denoiser):
        raise MuseError(
            f"{stage.name} trains nothing: give trains_connector=True, or trains_denoiser=True to "
            "a stage that does not align."
        )


class DrawTask(Task):
    """Drawer, optimiser and moving average, for `muse_core.training.trainer.Trainer`.

    The loss is flow matching on stored latents, or the text tower's words where a stage aligns:
    nothing of the tokenizer is in the graph, and no weight of the language model, of the projector
    or of the text tower requires a gradient. A stage trains queries and connector, the denoiser, or
    both."""

    saved_as = finished_as = DRAWER_FOLDER
    stage: DrawingStage

    def __init__(
        self,
        drawer: Drawer,
        stage: DrawingStage,
        reader: Reader,
        losses: Mapping[str, Any] | None,
        accelerator: Accelerator,
    ) -> None:
        """Raises MuseError where weights are asked for in shards, and as `check_stage`."""
        refuse(accelerator, "The drawer's training")
        check_stage(stage, reader)
        device = accelerator.device
        self.text = reader.text
        if self.text is not None:
            self.text = self.text.to(device).eval().requires_grad_(False)
        self.stage, self.accelerator, self.reader = stage, accelerator, reader
        self.language_model = reader.language_model.to(device).eval().requires_grad_(False)
        self.projector = reader.projector
        if self.projector is not None:
            self.projector = self.projector.to(device).eval().requires_grad_(False)
        self.normalisation = reader.normalisation.to(device)
        self.start = weights_digest(drawer)
        self.drawer = self.network = drawer.to(device).train()
        moves = {
            drawer.connector: stage.trains_connector,
            drawer.denoiser: stage.moves_denoiser,
        }
        for part, trained in moves.items():
            part.requires_grad_(trained).train(trained)
        weights = {name: w for name, w in drawer.named_parameters() if w.requires_grad}
        self.train_as_one("drawer", drawer, weights)

    def update(self, batch: PaintedBatch, step: int) -> dict[str, float]:
        set_rates(self.optimiser, rate_factor(step, self.stage))
        with self.accelerator.autocast():
            losses = self._losses(batch)
        (loss,) = losses.values()
        row = mean_over_processes(as_floats(losses), self.accelerator)
        if not all(map(math.isfinite, row.values())):
            raise FloatingPointError(f"the loss is {row}")
        norms = self.descend(partial(self.accelerator.backward, loss))
        rate = self.stage.learning_rate * rate_factor(step, self.stage)
        return row | {"gradient_norm/drawer": norms["drawer"], "learning_rate": rate}

    def _losses(self, batch: PaintedBatch) -> dict[str, Tensor]:
        """Prompts to drop, times and noise are drawn on the CPU for the whole step: the same for
        every device and number of processes.
        """
        stage, data = self.stage, self.normalisation.normalise(batch.latents)
        own = partial(own_part, accelerator=self.accelerator)
        images = len(batch) * self.accelerator.num_processes
        dropped = (own(torch.rand(images)) < stage.prompt_dropout).tolist()
        pairs = zip(dropped, batch.prompts, strict=True)
        prompts = ["" if drop else prompt for drop, prompt in pairs]
        times = logit_normal_times(images, stage.time_mean, stage.time_spread, stage.shift)
        time, noise = own(times).to(data), own(torch.randn(images, *data.shape[1:])).to(data)
        given = self.understood(prompts, batch)
        if self.text is not None and stage.aligns:
            wanted = conditioning(self.text, prompts)
            said = self.drawer.condition(given)
            aligned = text_alignment_loss(said.states, wanted.states, wanted.mask)
            return {"loss/text_alignment": aligned}
        there = batch.edits.to(data)[:, None, None, None]
        beside = there * self.normalisation.normalise(batch.before)
        # An edit is drawn as its difference to the image: most of it is nothing.
        change = data - beside
        found = self.model(noised(change, noise, time), time, given, beside)
        weight = None
        if stage.weighs_changes:
            # Drawn from nothing, all places count alike.
            weight = torch.where(there > 0, weight_of_changes(change), 1.0)
        return {"loss/flow_matching": flow_matching_loss(found, change, noise, weight)}

    def understood(self, prompts: list[str], batch: PaintedBatch) -> Understood:
        """Of rows that draw from nothing, and of rows that change an image, in the batch's order.

        Raises:
            MuseError: Rows are edits and there is no projector.
        """
        edits = batch.edits.tolist()
        parts: list[Understood] = []
        rows: list[int] = []
        for of_edits in (False, True):
            chosen = [row for row, edit in enumerate(edits) if edit == of_edits]
            if not chosen:
                continue
            image = self._image(batch, chosen) if of_edits else None
            said = [prompts[row] for row in chosen]
            parts.append(
                understood(self.language_model, self.drawer.connector.queries, said, image)
            )
            rows += chosen
        order = torch.tensor(rows).argsort().to(batch.latents.device)
        together = joined(parts)
        return Understood(*(each[order] for each in vars(together).values()))

    def _image(self, batch: PaintedBatch, rows: list[int]) -> SeenImage:
        if self.projector is None:
            raise MuseError(
                "The pairs hold edits and the stage has none: give edit_share=0 to both."
            )
        with torch.no_grad():
            words = self.projector(batch.tokens[rows], self.reader.grid)
        return SeenImage(words, batch.before[rows])

    def load(self, folder: Path) -> Drawer:
        return Drawer.from_pretrained(folder)

    def save(self, averaged: Drawer, folder: Path) -> None:
        save_whole(averaged, folder)

    def finished(self, folder: Path) -> Drawer:
        return self.load(folder).to(self.accelerator.device).eval()

    def configuration(self) -> dict[str, Any]:
        projector = self.reader.projector
        return {
            "language_model": weights_digest(self.language_model.network),
            "projector": weights_digest(projector) if projector is not None else "",
            "latents": self.reader.normalisation.config["tokenizer"],
            "start": self.start,
            # The last stage's, by which the drawer samples.
            "shift": self.drawer.config["shift"],
            "text": weights_digest(self.text) if self.text is not None else "",
        }


def joined(parts: list[Understood]) -> Understood:
    """Sequences of several lengths as one batch, padded at the left."""
    longest = max(part.hidden.shape[1] for part in parts)
    pad = torch.nn.functional.pad
    lacking = [longest - part.hidden.shape[1] for part in parts]
    both = list(zip(parts, lacking, strict=True))
    return Understood(
        torch.cat([pad(part.hidden, (0, 0, count, 0)) for part, count in both]),
        torch.cat([pad(part.mask, (count, 0)) for part, count in both]),
    )
