"""From a prompt, or an instruction and an image, to latents."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from muse_core.foundations.language_model import LanguageModel
from muse_core.generation.caption_embeddings import Conditioning
from muse_core.generation.denoiser import TIMESTEPS
from muse_core.generation.latent_normalisation import LatentNormalisation
from muse_core.generation.pipeline import (
    GUIDANCE,
    STEPS,
    Generators,
    check_generators,
    check_sampling,
    guides,
)
from muse_core.losses.flow_matching import noised
from muse_core.shapes import Bool, Latents
from muse_core.unified.drawer import Drawer, SeenImage, understood


@dataclass(frozen=True)
class Kept:
    """What is not to change: raw ``latents`` outside of ``inside``, (batch, 1, rows, columns)."""

    latents: Latents
    inside: Bool[Tensor, "batch 1 rows columns"]


@dataclass(frozen=True)
class DrawingSampler:
    """A drawer with the language model that it listens to, and the scale of its latents.

    Args:
        language_model: Frozen.
        drawer: Queries, connector and denoiser.
        normalisation: Mean and spread of each latent channel.
    """

    language_model: LanguageModel
    drawer: Drawer
    normalisation: LatentNormalisation

    @torch.no_grad()
    def latents(
        self,
        prompts: Sequence[str],
        image: SeenImage | None = None,
        guidance_scale: float = GUIDANCE,
        num_inference_steps: int = STEPS,
        generator: Generators = None,
        kept: Kept | None = None,
    ) -> Latents:
        """Raw latents, one a prompt.

        Args:
            prompts: What to draw, or how to change ``image``.
            image: None to draw from nothing.
            guidance_scale: w of classifier-free guidance; 1 is none. An image that is edited stays
                in the sequence without a prompt, as in UniLIP.
            num_inference_steps: From noise to image.
            generator: Makes the noise repeatable.
            kept: What is put back at every step, at that step's noise; None for nothing.

        Raises:
            MuseError: Guidance below 0, no steps, another number of generators, unknown words, or
                more of them than are read.
        """
        check_sampling(guidance_scale, num_inference_steps)
        check_generators(generator, len(prompts))
        prompts = [self.language_model.spelled(prompt) for prompt in prompts]
        for prompt in prompts:
            self.language_model.check_words(prompt)
        given = self._conditions(prompts, image)
        empty = [""] * len(prompts)
        without = self._conditions(empty, image) if guides(guidance_scale) else None
        shape: Any = self.drawer.denoiser.config
        size = (len(prompts), shape.out_channels, shape.sample_size, shape.sample_size)
        like = {"device": given.states.device, "dtype": given.states.dtype}
        noise = randn_tensor(size, generator=generator, **like)
        beside = noise.new_zeros(size)
        if image is not None:
            beside = self.normalisation.normalise(image.latents)
        before = None if kept is None else self.normalisation.normalise(kept.latents) - beside
        scheduler: Any = FlowMatchEulerDiscreteScheduler(shift=self.drawer.config["shift"])
        scheduler.set_timesteps(num_inference_steps, device=noise.device)
        current = noise
        for index, timestep in enumerate(scheduler.timesteps, start=1):
            time = (timestep / TIMESTEPS).expand(len(current)).to(current)
            found = self.drawer.velocity(current, time, given, beside)
            if without is not None:
                base = self.drawer.velocity(current, time, without, beside)
                found = base + guidance_scale * (found - base)
            current = scheduler.step(found, timestep, current, return_dict=False)[0]
            if kept is not None and before is not None:
                level = scheduler.sigmas[index].expand(len(noise)).to(noise)
                current = torch.where(kept.inside, current, noised(before, noise, level))
        drawn = self.normalisation.denormalise(current + beside)
        return drawn if kept is None else torch.where(kept.inside, drawn, kept.latents)

    def _conditions(self, prompts: Sequence[str], image: SeenImage | None) -> Conditioning:
        queries = self.drawer.connector.queries
        return self.drawer.condition(understood(self.language_model, queries, prompts, image))
