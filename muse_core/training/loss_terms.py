"""The losses a stage may hear. Each is a function of one step and a row of the routing table.

`TERMS` lists the paper's; ``TERMS | {"mine": LossTerm(my_loss, row="pixels")}`` adds one of yours,
and a weight of its name in the stage switches it on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from muse_core.config.stage import Loss, Stage
from muse_core.data.batch import Batch
from muse_core.errors import MuseError, chosen, shown
from muse_core.losses.adversarial import generator_loss
from muse_core.losses.anchor import anchor_loss
from muse_core.losses.distillation import distillation_loss
from muse_core.losses.fused_topology import fused_topology_loss
from muse_core.losses.objective import LossTerms, weighted_sum
from muse_core.losses.reconstruction import perceptual_loss, reconstruction_loss
from muse_core.models.discriminator import PatchDiscriminator, frozen_logits
from muse_core.models.tokenizer import MuseTokenizer, TokenizerOutput
from muse_core.training.teachers import Targets, Teachers


@dataclass(frozen=True)
class StepInputs:
    """All that a loss may look at: images, what the tokenizer made of them, what teachers say."""

    batch: Batch
    output: TokenizerOutput
    targets: Targets
    teachers: Teachers
    tokenizer: MuseTokenizer
    discriminator: PatchDiscriminator

    def first(self, count: int) -> "StepInputs":
        """The same of the first images."""
        if count == len(self.batch):
            return self
        cut = {name: getattr(self, name).first(count) for name in ("batch", "output", "targets")}
        return replace(self, **cut)


ROWS: dict[str, Loss] = {
    "topology": Loss.TOPOLOGY,
    "semantics": Loss.ANCHOR,
    "pixels": Loss.RECONSTRUCTION,
}
"""Rows of the routing table -> a loss of the paper that has it."""

HEARD: dict[str, tuple[str, ...]] = {
    "topology": ("attention",),
    "semantics": ("semantic", "embedding"),
    "pixels": ("reconstruction", "latent"),
}
"""Row -> the tokenizer's outputs through which its losses may send a gradient."""


@dataclass(frozen=True)
class LossTerm:
    """A loss with its row of the routing table.

    Args:
        compute: One step -> a scalar. It may look at everything in `StepInputs`; of the
            tokenizer's outputs, only those of its row carry a gradient.
        row: "topology" (trains W_Q, W_K), "semantics" (W_V and the projector) or "pixels" (texture
            values, W_O, feed-forward layers, latent and decoder).
    """

    compute: Callable[[StepInputs], Tensor]
    row: str

    def __post_init__(self) -> None:
        """Raises MuseError for a row that the table does not have."""
        chosen("row of the routing table", self.row, ROWS)

    @property
    def like(self) -> Loss:
        """The loss of the paper that is routed the same way."""
        return ROWS[self.row]

    def __call__(self, step: StepInputs) -> Tensor:
        """The loss, with the outputs of other rows detached."""
        return self.compute(replace(step, output=_for_row(step.output, self.row)))


def _for_row(output: TokenizerOutput, row: str) -> TokenizerOutput:
    closed = {
        name: _detached(getattr(output, name))
        for other, names in HEARD.items()
        for name in names
        if other != row
    }
    return replace(output, **closed)


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else tuple(each.detach() for each in value)


def _topology(step: StepInputs) -> Tensor:
    return fused_topology_loss(step.targets.attention, step.output.attention)


def _anchor(step: StepInputs) -> Tensor:
    head = step.tokenizer.semantic_head
    return anchor_loss(step.output.embedding, step.targets.text, head.scale)


def _reconstruction(step: StepInputs) -> Tensor:
    return reconstruction_loss(step.output.reconstruction, step.batch.images)


def _perceptual(step: StepInputs) -> Tensor:
    seen = step.teachers.perceptual(step.output.reconstruction)
    return perceptual_loss(seen, step.targets.features)


def _adversarial(step: StepInputs) -> Tensor:
    return generator_loss(frozen_logits(step.discriminator, step.output.reconstruction))


def _distillation(step: StepInputs) -> Tensor:
    return distillation_loss(step.output.embedding, step.targets.image)


TERMS: dict[str, LossTerm] = {
    Loss.TOPOLOGY: LossTerm(_topology, "topology"),
    Loss.ANCHOR: LossTerm(_anchor, "semantics"),
    Loss.RECONSTRUCTION: LossTerm(_reconstruction, "pixels"),
    Loss.PERCEPTUAL: LossTerm(_perceptual, "pixels"),
    Loss.ADVERSARIAL: LossTerm(_adversarial, "pixels"),
    Loss.DISTILLATION: LossTerm(_distillation, "semantics"),
}
"""The paper's losses, and the distillation that an ablation puts in the anchor's place."""


def chosen_terms(stage: Stage, losses: Mapping[str, LossTerm]) -> dict[str, LossTerm]:
    """The terms that a stage weights.

    Raises:
        MuseError: The stage weights a loss that is not given, or that has no row.
    """
    for name in stage.weights:
        if name not in losses:
            raise MuseError(
                f"The stage weights the loss {shown(str(name))}, which is not among the losses: "
                "give "
                f"losses=TERMS | {{{str(name)!r}: LossTerm(function, row='pixels')}}, or take the "
                "weight away."
            )
        if not isinstance(losses[name], LossTerm):
            raise MuseError(
                f"The loss {shown(str(name))} has no row in the routing table: wrap it as "
                f"LossTerm(function, row=...) with one of {', '.join(ROWS)}, which says what it "
                "trains."
            )
    return {str(name): losses[name] for name in stage.weights}


def forward_step(
    model: nn.Module,
    tokenizer: MuseTokenizer,
    discriminator: PatchDiscriminator,
    teachers: Teachers,
    batch: Batch,
    stage: Stage,
    losses: Mapping[str, LossTerm] = TERMS,
) -> tuple[LossTerms, TokenizerOutput]:
    """One batch -> the terms that the stage hears, and what the tokenizer made of it.

    Args:
        model: The tokenizer as the launcher wrapped it.
        tokenizer: The same one, bare.
    """
    grid, heads = tokenizer.token_grid(batch.images), tokenizer.config.num_heads
    targets = Targets(teachers, batch, grid, heads)
    terms = chosen_terms(stage, losses)
    seen = {name: images_seen(stage, name, len(batch)) for name in terms}
    # A loss of the user's may look at pixels whatever it trains.
    decoded = [
        seen[name] for name, term in terms.items() if term.row == "pixels" or name not in TERMS
    ]
    output = model(
        batch.images,
        trunk_hears=stage.trunk_hears,
        with_attention=any(term.like is Loss.TOPOLOGY for term in terms.values()),
        decoded=max(decoded, default=1),
    )
    inputs = StepInputs(batch, output, targets, teachers, tokenizer, discriminator)
    # Those that see most come first, so that no teacher is asked twice.
    order = sorted(terms, key=lambda name: -seen[name])
    found = {name: terms[name](inputs.first(seen[name])) for name in order}
    return weighted_sum({name: found[name] for name in terms}, stage.weights), output


def images_seen(stage: Stage, loss: str, count: int) -> int:
    """How many of a step's ``count`` images a loss is computed on, the first ones: one at least."""
    return max(1, round(stage.shares.get(loss, 1.0) * count))


def uneven_shares(stage: Stage, processes: int) -> list[str]:
    """What differs from one process, in sentences: each rounds its own part of a share."""
    found = []
    for loss in stage.shares.keys() & stage.weights.keys():
        alone = images_seen(stage, loss, stage.batch_size)
        together = processes * images_seen(stage, loss, stage.batch_size // processes)
        if together != alone:
            found.append(
                f"{loss} sees {together} of a step's {stage.batch_size} images in {processes} "
                f"processes, and {alone} in one"
            )
    return sorted(found)
