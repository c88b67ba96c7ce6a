"""The routing table as measured: how much of each loss's gradient arrives at each weight group."""

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

from torch import nn

from muse_core.config.stage import Stage
from muse_core.data.batch import Batch
from muse_core.evaluation.gradients.gradient_geometry import as_found, dot, gradients_of
from muse_core.models.discriminator import PatchDiscriminator
from muse_core.models.gradient_routes import WeightGroup
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.models.weight_groups import weight_groups
from muse_core.training.loss_terms import TERMS, LossTerm, forward_step
from muse_core.training.teachers import Teachers


def measured_routes(
    tokenizer: MuseTokenizer,
    stage: Stage,
    teachers: Teachers,
    batch: Batch,
    losses: Mapping[str, LossTerm] = TERMS,
) -> dict[str, dict[WeightGroup, float]]:
    """Loss -> weight group -> share of the loss's squared gradient norm; a 0.0 here is bitwise
    zero. No weight changes.

    Args:
        tokenizer: Every weight may receive gradient while measuring, except a frozen backbone.
        stage: Its losses are measured, with its setting of the trunk.
        teachers: The frozen networks that supervise it.
        batch: The images and captions to measure on.
        losses: What the names of the stage's weights stand for.
    """
    groups = {group: list(held.values()) for group, held in weight_groups(tokenizer).items()}
    return measured_shares(tokenizer, stage, teachers, batch, groups, losses)


Where = TypeVar("Where", bound=Hashable)


def measured_shares(
    tokenizer: MuseTokenizer,
    stage: Stage,
    teachers: Teachers,
    batch: Batch,
    at: Mapping[Where, Sequence[nn.Parameter]],
    losses: Mapping[str, LossTerm] = TERMS,
) -> dict[str, dict[Where, float]]:
    """The same at any places.

    Args:
        tokenizer: As for `measured_routes`, with ``stage``, ``teachers``, ``batch``, ``losses``.
        at: Place -> its weights, of this tokenizer.
    """
    with as_found(tokenizer):
        tokenizer.requires_grad_(True)
        tokenizer.backbone.requires_grad_(stage.trains_backbone)
        critic = PatchDiscriminator().to(batch.images.device)
        terms, _ = forward_step(tokenizer, tokenizer, critic, teachers, batch, stage, losses)
        energies: dict[str, dict[Where, float]] = {}
        for loss, term in terms.parts.items():
            gradients = gradients_of(loss, term, at)
            energies[loss] = {place: dot(gradients[place], gradients[place]) for place in at}
    return {
        loss: {place: energy / (sum(held.values()) or 1.0) for place, energy in held.items()}
        for loss, held in energies.items()
    }
