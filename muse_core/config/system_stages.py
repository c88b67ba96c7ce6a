"""How the systems of Table 1 are trained: as many images as MUSE's curriculum sees, the pixel
losses of its last stage, and what is each system's own.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from muse_core.config.preset import Preset
from muse_core.config.stage import PIXEL_LOSSES, TRUNK_OPEN, Curriculum, Stage
from muse_core.errors import MuseError


@dataclass(frozen=True)
class SystemStage:
    """A stage of a system.

    Args:
        own: Loss of the system's own -> weight.
        backbone_rate: Of the parts that were pretrained, a share of the rate; 0 keeps them frozen.
        share: Of the system's images.
    """

    own: Mapping[str, float] = field(default_factory=dict)
    backbone_rate: float = 0.0
    share: float = 1.0


SYSTEM_NAMES = ("va-vae", "tokenflow", "unitok", "unilip", "vtp", "rae")
"""The systems of `muse_core.baselines`, by name; each class says its own stages."""
AS_THEY_ARE = ("muse", "backbone", "autoencoder")
"""Rows of Table 1 that are none of them: the preset's own curriculum, and its untrained parts."""


def system_curriculum(
    preset: Preset, stages: tuple[SystemStage, ...], learning_rate: float = 0.0
) -> Curriculum:
    """The stages at a preset's size: together they see as many images as its own curriculum, in
    batches and with the pixel losses of its last stage.

    Args:
        preset: Whose images, pixel losses and rate.
        stages: Of the system.
        learning_rate: Instead of that of the preset's last stage; 0 for that.

    Raises:
        MuseError: A rate below 0, or no number.
    """
    if not 0 <= learning_rate < math.inf:
        raise MuseError(f"learning_rate must be 0 or more: got {learning_rate}.")
    *_, last = preset.curriculum
    images = sum(stage.steps * stage.batch_size for stage in preset.curriculum)
    pixels = {loss: weight for loss, weight in last.weights.items() if loss in PIXEL_LOSSES}
    found: list[Stage] = []
    for number, one in enumerate(stages, start=1):
        steps = max(1, round(one.share * images / last.batch_size))
        found.append(
            replace(
                last,
                name=f"system_{number}",
                weights=MappingProxyType({**pixels, **one.own}),
                shares=MappingProxyType({k: v for k, v in last.shares.items() if k in pixels}),
                trunk_hears=TRUNK_OPEN,
                backbone_rate=one.backbone_rate,
                steps=steps,
                checkpoint_every=min(last.checkpoint_every, steps),
                learning_rate=learning_rate or last.learning_rate,
                starts_from=found[-1].name if found else None,
            )
        )
    return Curriculum(tuple(found))
