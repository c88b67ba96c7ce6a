"""`Critic`: the discriminator with its optimiser and LeCam anchors, beside any network that makes
pixels.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from muse_core.config.stage import Stage
from muse_core.losses.adversarial import LeCamAnchors, discriminator_loss, lecam_penalty
from muse_core.losses.objective import as_floats
from muse_core.models.discriminator import PatchDiscriminator
from muse_core.shapes import Images
from muse_core.training.distributed import mean_over_processes

LECAM_WEIGHT = 0.001
"""As in the authors' release."""


class Critic:
    """What tells reconstructions from images, and learns from both; the same in every process."""

    def __init__(self, stage: Stage, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.network = PatchDiscriminator().to(accelerator.device)
        group = {
            "name": "discriminator",
            "params": list(self.network.parameters()),
            "peak_rate": stage.learning_rate * stage.discriminator_rate,
        }
        optimiser = torch.optim.AdamW([group], betas=(0.5, 0.99), fused=True)
        self.model, self.optimiser = accelerator.prepare(self.network, optimiser)
        self.anchors = LeCamAnchors()

    def gradient(self, real: Images, fake: Images) -> Callable[[], float]:
        """The critic's gradient, and the function that takes its step and returns its loss.

        Args:
            real: Images.
            fake: Their reconstructions, detached.

        Raises:
            FloatingPointError: Loss or gradient is not finite.
        """
        with self.accelerator.autocast():
            real_logits, fake_logits = self.model(real), self.model(fake)
            loss = discriminator_loss(real_logits, fake_logits)
            lecam = lecam_penalty(real_logits, fake_logits, self.anchors)
            regularised = loss + LECAM_WEIGHT * lecam
        self.optimiser.zero_grad()
        self.accelerator.backward(regularised)
        gradients = [weight.grad for weight in self.network.parameters()]
        norm = nn.utils.get_total_norm([each for each in gradients if each is not None])
        noted = {"loss": loss, "real": real_logits.mean(), "fake": fake_logits.mean()}
        noted = mean_over_processes(as_floats(noted | {"norm": norm}), self.accelerator)
        if not (math.isfinite(noted["loss"]) and math.isfinite(noted["norm"])):
            raise FloatingPointError(
                f"the critic's loss is {noted['loss']}, its gradient's norm {noted['norm']}"
            )

        def step() -> float:
            self.optimiser.step()
            self.anchors.update(noted["real"], noted["fake"])
            return noted["loss"]

        return step

    def remembered(self) -> dict[str, Any]:
        """What a checkpoint keeps of it, beside weights and optimiser."""
        return {"lecam": [self.anchors.real, self.anchors.fake]}

    def recall(self, facts: Mapping[str, Any]) -> None:
        """The inverse of `remembered`."""
        self.anchors = LeCamAnchors(*facts["lecam"])
