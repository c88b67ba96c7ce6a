"""Editing without training: an image's latent is noised part of the way and drawn again, in a mask.

SDEdit (Meng et al. 2022, arXiv 2108.01073) for the whole image; with a mask, every step puts the
image's own latent, at that step's noise, back outside of it (Lugmayr et al. 2022), so that the
background of the result is bit-equal in latent."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import FlowMatchEulerDiscreteScheduler
from torch import Tensor
from torchvision.ops import masks_to_boxes

from muse_core.data.batch import Batch
from muse_core.errors import MuseError
from muse_core.generation.pipeline import GUIDANCE, STEPS, Generators, MusePipeline, check_sampling
from muse_core.losses.flow_matching import noised
from muse_core.shapes import Bool, Float, Images, Latents

PixelMask = Bool[Tensor, "batch mask_height mask_width"]
MARKED = 0.5
"""Pixels above it may change, where a mask holds numbers."""


@dataclass(frozen=True)
class Edit:
    """What an edit makes.

    Args:
        images: In [0, 1].
        latents: Normalised, after the edit.
        before: The latents they came from.
        inside: (batch, 1, rows, columns), the latent positions that were free to change.
    """

    images: Images
    latents: Latents
    before: Latents
    inside: Tensor

    def background_equal(self) -> bool:
        """Whether every latent outside the mask is bit for bit what it was."""
        return torch.equal(self.latents.where(~self.inside, 0), self.before.where(~self.inside, 0))


@torch.no_grad()
def edit(
    pipeline: MusePipeline,
    images: Images,
    prompts: list[str],
    mask: PixelMask | None = None,
    strength: float = 0.8,
    guidance_scale: float = GUIDANCE,
    num_inference_steps: int = STEPS,
    generator: Generators = None,
) -> Edit:
    """Draw images again as the prompts say.

    Args:
        pipeline: The generator.
        images: (batch, 3, height, width) in [0, 1].
        prompts: One an image.
        mask: Pixels that may change, None for all.
        strength: How far towards noise, above 0 and at most 1.
        guidance_scale: As `MusePipeline.sample`, like the two arguments that follow it.
        num_inference_steps: Of a whole way from noise to image.
        generator: Makes the noise repeatable.

    Raises:
        MuseError: A strength outside (0, 1], a mask of another size, or not one prompt an image.
    """
    check_sampling(guidance_scale, num_inference_steps)
    _check(images, prompts, mask, strength)
    before = pipeline.to_latents(images)
    inside = latent_mask(mask, before)
    given = pipeline.prompts(prompts, guidance_scale)
    scheduler: Any = FlowMatchEulerDiscreteScheduler.from_config(pipeline.scheduler.config)
    scheduler.set_timesteps(num_inference_steps, device=before.device)
    first = min(num_inference_steps - 1, round(num_inference_steps * (1 - strength)))
    scheduler.set_begin_index(first)
    noise = pipeline.noise(len(images), generator)
    level = lambda index: scheduler.sigmas[index].expand(len(images)).to(before)
    current = noised(before, noise, level(first))
    for index, timestep in enumerate(scheduler.timesteps[first:], start=first + 1):
        found = pipeline.guided_velocity(current, timestep, given, guidance_scale)
        current = scheduler.step(found, timestep, current, return_dict=False)[0]
        current = torch.where(inside, current, noised(before, noise, level(index)))
    current = torch.where(inside, current, before)
    return Edit(pipeline.to_images(current), current, before, inside)


def background_psnr(edited: Images, images: Images, mask: PixelMask) -> Float[Tensor, " batch"]:
    """PSNR in dB over the pixels outside the mask; not a number where the mask leaves none."""
    outside = (~mask)[:, None].to(images)
    squares = ((edited - images).square() * outside).sum((1, 2, 3))
    error = squares / (outside.sum((1, 2, 3)) * images.shape[1])
    return -10 * torch.log10(error.clamp(min=1e-10))


def object_mask(batch: Batch) -> PixelMask:
    """The box of each image's largest object; the middle half where no object is marked."""
    height, width = batch.images.shape[-2:]
    mask = torch.zeros(len(batch), height, width, dtype=torch.bool)
    for row, inside in enumerate(mask):
        top, left, bottom, right = height // 4, width // 4, height * 3 // 4 - 1, width * 3 // 4 - 1
        instances = None if batch.instance_masks is None else batch.instance_masks[row]
        if instances is not None and instances.any():
            largest = instances == instances[instances > 0].mode().values
            left, top, right, bottom = masks_to_boxes(largest[None])[0].int().tolist()
        inside[top : bottom + 1, left : right + 1] = True
    return mask


def _check(images: Images, prompts: list[str], mask: PixelMask | None, strength: float) -> None:
    if not 0 < strength <= 1:
        raise MuseError(
            "strength must be above 0 (nothing changes) and at most 1 (nothing is kept): got "
            f"{strength}."
        )
    if len(prompts) != len(images):
        raise MuseError(
            f"There are {len(images)} images and {len(prompts)} prompts: give one prompt for each "
            "image."
        )
    check_mask(mask, images)


def check_mask(mask: PixelMask | None, images: Images) -> None:
    """Raises MuseError for a mask that is no tensor, of another size than the images, or that marks
    nothing in one of them.
    """
    if mask is None:
        return
    wanted = len(images), *images.shape[-2:]
    if not isinstance(mask, Tensor):
        raise MuseError(f"The mask is a {type(mask).__name__}: give a tensor of shape {wanted}.")
    if mask.shape != wanted:
        raise MuseError(
            f"The mask is {tuple(mask.shape)}, the images need {wanted}: crop and resize it as the "
            "images are."
        )
    if not (mask > MARKED).flatten(1).any(1).all():
        raise MuseError("The mask marks no pixel: mark where the image may change, or give none.")


def latent_mask(mask: PixelMask | None, latents: Latents) -> Tensor:
    """Latent positions with any masked pixel in them."""
    count, _, *sides = latents.shape
    if mask is None:
        return torch.ones(count, 1, *sides, dtype=torch.bool, device=latents.device)
    return F.adaptive_max_pool2d(mask[:, None].to(latents), sides) > MARKED
