"""`AnswerTask`: a projector is trained, so that a frozen language model answers from tokens."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from muse_core.config.stage import LanguageStage
from muse_core.foundations.language_model import LanguageModel
from muse_core.losses.objective import as_floats
from muse_core.training.distributed import mean_over_processes
from muse_core.training.freshness import weights_digest
from muse_core.training.fsdp import refuse
from muse_core.training.optimiser import rate_factor, set_rates
from muse_core.training.saving import save_whole
from muse_core.training.task import Task
from muse_core.unified.conversation import PLACEHOLDER, UNSCORED, Prompts, Turn, filled, prompts
from muse_core.unified.projector import VisualProjector
from muse_core.unified.questions import AskedBatch

PROJECTOR_FOLDER = "projector"


@dataclass(frozen=True)
class Listener:
    """What stays as it is while a projector trains: the language model, and the grid of the tokens
    that the projector reads.
    """

    language_model: LanguageModel
    grid: tuple[int, int]


class AnswerTask(Task):
    """Projector, optimiser and moving average, for `muse_core.training.trainer.Trainer`.

    The loss is the cross-entropy of the answers' words. Tokens are stored, so that nothing of the
    tokenizer is in the graph; the language model is, and no weight of it requires a gradient."""

    saved_as = finished_as = PROJECTOR_FOLDER
    stage: LanguageStage

    def __init__(
        self,
        projector: VisualProjector,
        stage: LanguageStage,
        listener: Listener,
        losses: Mapping[str, Any] | None,
        accelerator: Accelerator,
    ) -> None:
        """Raises MuseError where weights are asked for in shards."""
        refuse(accelerator, "The projector's training")
        device = accelerator.device
        self.stage, self.accelerator, self.listener = stage, accelerator, listener
        self.language_model = listener.language_model.to(device).eval().requires_grad_(False)
        self.start = weights_digest(projector)
        self.projector = self.network = projector.to(device).train()
        self.train_as_one("projector", projector, dict(projector.named_parameters()))

    def update(self, batch: AskedBatch, step: int) -> dict[str, float]:
        set_rates(self.optimiser, rate_factor(step, self.stage))
        with self.accelerator.autocast():
            asked = self.prompts(batch)
            loss = answer_loss(self.language_model, asked, self.seen(batch)) * self.share(asked)
        row = mean_over_processes(as_floats({"loss/answer": loss}), self.accelerator)
        if not math.isfinite(row["loss/answer"]):
            raise FloatingPointError(f"the loss is {row}")
        norms = self.descend(partial(self.accelerator.backward, loss))
        rate = self.stage.learning_rate * rate_factor(step, self.stage)
        return row | {"gradient_norm/projector": norms["projector"], "learning_rate": rate}

    def share(self, asked: Prompts) -> float:
        """What the mean over this process's words is weighted with, so that the mean over processes
        is that over all words of the step: answers differ in length.
        """
        words = float((asked.labels[:, 1:] != UNSCORED).sum())
        return words / mean_over_processes({"words": words}, self.accelerator)["words"]

    def seen(self, batch: AskedBatch) -> Tensor:
        """The images' tokens as words' embeddings."""
        return self.model(batch.tokens, self.listener.grid)

    def prompts(self, batch: AskedBatch) -> Prompts:
        """Questions with their answers."""
        turns = [[Turn(f"{PLACEHOLDER}\n{one.text}", one.answer)] for one in batch.questions]
        places = self.projector.image_tokens(self.listener.grid)
        return prompts(self.language_model, turns, places).to(self.accelerator.device)

    def load(self, folder: Path) -> VisualProjector:
        return VisualProjector.from_pretrained(folder)

    def save(self, averaged: VisualProjector, folder: Path) -> None:
        save_whole(averaged, folder)

    def finished(self, folder: Path) -> VisualProjector:
        return self.load(folder).to(self.accelerator.device).eval()

    def configuration(self) -> dict[str, Any]:
        return {
            "language_model": weights_digest(self.language_model.network),
            "start": self.start,
            "grid": list(self.listener.grid),
        }


def answer_loss(model: LanguageModel, batch: Prompts, image: Tensor) -> Tensor:
    """Mean cross-entropy, in nats, of the words of all answers.

    Args:
        model: Frozen; the gradient passes through it to the image.
        batch: Conversations with their answers.
        image: (batch, image tokens, width).
    """
    embedded = filled(model, batch.ids, image)
    logits = model.network(inputs_embeds=embedded, attention_mask=batch.mask).logits
    return torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1).float(), batch.labels[:, 1:].flatten(), ignore_index=UNSCORED
    )
