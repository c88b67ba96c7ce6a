"""One batch -> the loss terms a stage hears. Each term is a row of the table below; a stage picks
rows by weight.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from muse_core.config.stage import Loss, Stage
from muse_core.data.batch import Batch
from muse_core.losses.adversarial import generator_loss
from muse_core.losses.anchor import anchor_loss
from muse_core.losses.distillation import distillation_loss
from muse_core.losses.fused_topology import fused_topology_loss
from muse_core.losses.objective import LossTerms, weighted_sum
from muse_core.losses.reconstruction import perceptual_loss, reconstruction_loss
from muse_core.models.discriminator import PatchDiscriminator, frozen_logits
from muse_core.models.tokenizer import MuseTokenizer, TokenizerOutput
from muse_core.shapes import Scalar
from muse_core.training.teachers import Targets, Teachers, targets_for


@dataclass(frozen=True)
class StepInputs:
    """All that a term may look at."""

    batch: Batch
    output: TokenizerOutput
    targets: Targets
    teachers: Teachers
    tokenizer: MuseTokenizer
    discriminator: PatchDiscriminator


def _topology(step: StepInputs) -> Scalar:
    return fused_topology_loss(step.targets.attention, step.output.attention)


def _anchor(step: StepInputs) -> Scalar:
    return anchor_loss(step.output.embedding, step.targets.text, step.tokenizer.semantic_head.scale)


def _reconstruction(step: StepInputs) -> Scalar:
    return reconstruction_loss(step.output.reconstruction, step.batch.images)


def _perceptual(step: StepInputs) -> Scalar:
    return perceptual_loss(
        step.teachers.perceptual(step.output.reconstruction), step.targets.features
    )


def _adversarial(step: StepInputs) -> Scalar:
    return generator_loss(frozen_logits(step.discriminator, step.output.reconstruction))


def _distillation(step: StepInputs) -> Scalar:
    return distillation_loss(step.output.embedding, step.targets.image)


TERMS: dict[Loss, Callable[[StepInputs], Scalar]] = {
    Loss.TOPOLOGY: _topology,
    Loss.ANCHOR: _anchor,
    Loss.RECONSTRUCTION: _reconstruction,
    Loss.PERCEPTUAL: _perceptual,
    Loss.ADVERSARIAL: _adversarial,
    Loss.DISTILLATION: _distillation,
}


def forward_step(
    model: nn.Module,
    tokenizer: MuseTokenizer,
    discriminator: PatchDiscriminator,
    teachers: Teachers,
    batch: Batch,
    stage: Stage,
) -> tuple[LossTerms, TokenizerOutput]:
    """``model`` is the tokenizer as the launcher wrapped it; ``tokenizer`` is the same one bare."""
    targets = targets_for(
        teachers, batch, tokenizer.token_grid(batch.images), tokenizer.config.num_heads
    )
    output = model(
        batch.images, trunk_hears=stage.trunk_hears, with_attention=Loss.TOPOLOGY in stage.weights
    )
    inputs = StepInputs(batch, output, targets, teachers, tokenizer, discriminator)
    parts = {loss: TERMS[loss](inputs) for loss in stage.weights}
    return weighted_sum(parts, stage.weights), output
