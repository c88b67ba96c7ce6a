"""`GeometryRecorder`: how the gradients of pixels, semantics and topology lie to each other, every
k steps of a training.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import torch
from torch import nn

from muse_core.config.stage import Loss, Stage
from muse_core.data.batch import Batch, Source
from muse_core.evaluation.gradients.geometry_records import GeometryAtStep, read_geometry, to_row
from muse_core.evaluation.gradients.gradient_geometry import (
    GradientGeometry,
    gradient_geometry,
    places,
)
from muse_core.results.records import append_jsonl
from muse_core.training.fsdp import refuse
from muse_core.training.gradient_surgery import TASKS, task_losses
from muse_core.training.loss_terms import forward_step
from muse_core.training.trainer import Trainer


class GeometryRecorder:
    """An observer for `train_stage`: measures on the same few images each time, and writes one line
    a measurement.

    All three tasks are measured in every stage, also those a stage does not train, on all weights
    but a frozen backbone. Under several processes each takes its part of the images, and the first
    writes. Training goes on bit for bit as without."""

    def __init__(self, file: Path, source: Source, every: int, images: int = 16) -> None:
        """``every``: steps between two measurements; ``images``: how many of ``source`` are looked
        at.
        """
        self.file, self.source, self.every, self.images = file, source, every, images
        self._probe: Batch | None = None

    def __call__(self, trainer: Trainer, step: int) -> None:
        if self._probe is None:
            refuse(trainer.accelerator, "The recorder of gradient geometry")
            self._probe = self._part(trainer)
            self._forget_from(step, trainer)
        if step % self.every == 0:
            measured = measured_geometry(trainer, self._probe)
            if trainer.accelerator.is_main_process:
                append_jsonl(self.file, [to_row(GeometryAtStep(step, measured))])

    def _part(self, trainer: Trainer) -> Batch:
        accelerator = trainer.accelerator
        count = min(self.images, len(self.source))
        indices = list(range(accelerator.process_index, count, accelerator.num_processes))
        return self.source.__getitems__(indices).to(accelerator.device)

    def _forget_from(self, step: int, trainer: Trainer) -> None:
        """A training that starts anew, or goes on from a checkpoint, measures these steps again."""
        if trainer.accelerator.is_main_process:
            kept = [to_row(each) for each in read_geometry(self.file) if each.step < step]
            self.file.unlink(missing_ok=True)
            append_jsonl(self.file, kept)


def measured_geometry(trainer: Trainer, batch: Batch) -> GradientGeometry:
    """Geometry of the tasks' gradients at the trainer's weights; neither weights, buffers nor
    random state change.
    """
    stage = probing(trainer.stage, distils=trainer.teachers.image is not None)
    tokenizer = trainer.tokenizer
    with _as_found(tokenizer, trainer.discriminator):
        tokenizer.requires_grad_(True)
        tokenizer.backbone.requires_grad_(stage.trains_backbone)
        with trainer.accelerator.autocast():
            terms, _ = forward_step(
                tokenizer, tokenizer, trainer.discriminator, trainer.teachers, batch, stage
            )
        return gradient_geometry(task_losses(terms, stage.weights), places(tokenizer))


def probing(stage: Stage, distils: bool) -> Stage:
    """The stage with a loss for every task; one it does not train gets weight 1, which no cosine
    depends on.
    """
    semantic = Loss.DISTILLATION if distils else Loss.ANCHOR
    stand_ins = {"pixels": Loss.RECONSTRUCTION, "semantics": semantic, "topology": Loss.TOPOLOGY}
    absent = [
        stand_ins[task] for task, losses in TASKS.items() if not losses & stage.weights.keys()
    ]
    return replace(
        stage, weights=MappingProxyType(dict(stage.weights) | dict.fromkeys(absent, 1.0))
    )


@contextmanager
def _as_found(*modules: nn.Module) -> Iterator[None]:
    """Restores random state, buffers (spectral norm's, for one) and which weights may receive
    gradient.
    """
    asked = {weight: weight.requires_grad for module in modules for weight in module.parameters()}
    buffers = {buffer: buffer.clone() for module in modules for buffer in module.buffers()}
    try:
        with torch.random.fork_rng():
            yield
    finally:
        with torch.no_grad():
            for buffer, value in buffers.items():
                buffer.copy_(value)
        for weight, flag in asked.items():
            weight.requires_grad_(flag)
