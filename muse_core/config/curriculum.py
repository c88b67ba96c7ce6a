"""Other curricula than the paper's, made from it: what an ablation changes is one field here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from muse_core.config.stage import SEMANTIC_LOSSES, Curriculum, Loss, Stage, Surgery
from muse_core.errors import MuseError, unknown


@dataclass(frozen=True)
class Changes:
    """How a run's curriculum differs from its preset's; the defaults change nothing.

    ``order``: "paper", "reversed" (semantics before topology) or "joint" (the last stage alone, for
    all steps). ``without``: a loss that is left out, or "". ``anchoring``: "contrast", or
    "distillation" of the backbone's own image embedding. ``surgery``: "none" or "pcgrad"."""

    order: str = "paper"
    without: str = ""
    anchoring: str = "contrast"
    surgery: str = "none"


def changed(curriculum: Curriculum, changes: Changes) -> Curriculum:
    """The curriculum with the changes made. Raises MuseError for a word that stands for none."""
    for name, known in CHOICES.items():
        if getattr(changes, name) not in known:
            raise unknown(name, getattr(changes, name), known)
    ordered = ORDERS[changes.order](curriculum)
    return Curriculum(tuple(_changed(stage, changes) for stage in ordered))


def _changed(stage: Stage, changes: Changes) -> Stage:
    """Leaving the anchor out leaves out whatever takes its place."""
    out = SEMANTIC_LOSSES if changes.without == Loss.ANCHOR else (changes.without,)
    weights = _renamed(stage.weights, Loss.ANCHOR, ANCHORINGS[changes.anchoring])
    kept = {loss: weight for loss, weight in weights.items() if loss not in out}
    if not kept:
        raise MuseError(
            f"Without {changes.without}, {stage.name} has no loss left: leave out another one."
        )
    shares = _renamed(stage.shares, Loss.ANCHOR, ANCHORINGS[changes.anchoring])
    return replace(
        stage,
        weights=MappingProxyType(kept),
        shares=MappingProxyType(shares),
        surgery=Surgery(changes.surgery),
    )


def _renamed(weights: Mapping[str, float], before: Loss, after: Loss) -> dict[str, float]:
    """The weights, with one loss in another's place."""
    return {after if loss == before else loss: weight for loss, weight in weights.items()}


def _reversed(curriculum: Curriculum) -> Curriculum:
    """The first stage hears the anchor in topology's place; every other field, steps included,
    stays the stage's own.
    """
    first, *rest = curriculum
    anchor = max(stage.weights.get(Loss.ANCHOR, 0.0) for stage in rest)
    swapped = _renamed(first.weights, Loss.TOPOLOGY, Loss.ANCHOR)
    return Curriculum((replace(first, weights=swapped | {Loss.ANCHOR: anchor}), *rest))


def _joint(curriculum: Curriculum) -> Curriculum:
    """The last stage from the start, for as many images as all stages saw."""
    *_, last = curriculum
    images = sum(stage.steps * stage.batch_size for stage in curriculum)
    return Curriculum((replace(last, starts_from=None, steps=round(images / last.batch_size)),))


def shortened(curriculum: Curriculum, share: float) -> Curriculum:
    """Every stage with a share of its steps, one at least. Raises MuseError for a share that is not
    above 0 and at most 1.
    """
    if not 0 < share <= 1:
        raise MuseError(f"share must be a number above 0 and at most 1: got {share}.")
    return Curriculum(tuple(_shortened(stage, share) for stage in curriculum))


def _shortened(stage: Stage, share: float) -> Stage:
    steps = max(1, round(stage.steps * share))
    return replace(stage, steps=steps, checkpoint_every=min(stage.checkpoint_every, steps))


ORDERS: dict[str, Callable[[Curriculum], Curriculum]] = {
    "paper": lambda curriculum: curriculum,
    "reversed": _reversed,
    "joint": _joint,
}
ANCHORINGS = {"contrast": Loss.ANCHOR, "distillation": Loss.DISTILLATION}
"""Word -> the loss in the anchor's place."""
CHOICES = {
    "order": tuple(ORDERS),
    "without": ("", *map(str, Loss)),
    "anchoring": tuple(ANCHORINGS),
    "surgery": tuple(map(str, Surgery)),
}
