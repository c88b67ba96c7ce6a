"""Notebook 08's edits of held-out images, and the hand behind its prompt box."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from muse_core.data.batch import Batch
from muse_core.generation.editing import background_psnr, edit
from muse_core.report.generation_session import GenerationSession
from muse_core.shapes import Bool

STRENGTHS = {"drawn again, masked": 1.0, "halfway, masked": 0.6}
WHOLE = "whole image, no mask"


@dataclass(frozen=True)
class EditedExamples:
    """``columns``: words -> images (n, 3, h, w); ``mask`` (n, h, w): what may change;
    ``background``: mean dB outside, of the first kind of edit; ``unchanged``: whether every latent
    outside a mask is bit for bit what it was."""

    columns: dict[str, np.ndarray]
    mask: np.ndarray
    background: float
    unchanged: bool


def edited_examples(session: GenerationSession, count: int = 5) -> EditedExamples:
    """Held-out images, each with another image's prompt inside a mask around its main object; notes
    the background's PSNR.
    """
    p, pipeline, batch = session.parameters, session.pipeline, session.test.first(count)
    images = batch.images.to(pipeline.codec.device)
    prompts = [*batch.captions[1:], batch.captions[0]]
    mask = object_mask(batch).to(images.device)
    plain = pipeline.to_images(pipeline.to_latents(images))
    columns, unchanged, background = {"image": images, "reconstruction": plain}, True, {}
    for words, strength in STRENGTHS.items():
        seeded = torch.Generator().manual_seed(p.seed)
        found = edit(
            pipeline, images, prompts, mask, strength, p.guidance, p.sampling_steps, seeded
        )
        columns[words], unchanged = found.images, unchanged and found.background_equal()
        background[words] = background_psnr(found.images, plain, mask).nanmean().item()
    seeded = torch.Generator().manual_seed(p.seed)
    columns[WHOLE] = edit(
        pipeline, images, prompts, None, 0.6, p.guidance, p.sampling_steps, seeded
    ).images
    session.facts["background_psnr"] = background
    arrays = {words: each.cpu().numpy() for words, each in columns.items()}
    return EditedExamples(arrays, mask.cpu().numpy(), next(iter(background.values())), unchanged)


def object_mask(batch: Batch) -> Bool[torch.Tensor, "batch height width"]:
    """The box of each image's largest object; the middle half where no object is marked."""
    height, width = batch.images.shape[-2:]
    mask = torch.zeros(len(batch), height, width, dtype=torch.bool)
    for row in range(len(batch)):
        top, bottom, left, right = _box(batch, row, height, width)
        mask[row, top:bottom, left:right] = True
    return mask


def _box(batch: Batch, row: int, height: int, width: int) -> tuple[int, int, int, int]:
    if batch.instance_masks is None or not batch.instance_masks[row].any():
        return height // 4, height - height // 4, width // 4, width - width // 4
    instances = batch.instance_masks[row]
    kinds, counts = instances[instances > 0].unique(return_counts=True)
    y, x = (instances == kinds[counts.argmax()]).nonzero().unbind(1)
    return int(y.min()), int(y.max()) + 1, int(x.min()), int(x.max()) + 1


def painter(session: GenerationSession) -> Callable[[str, float, int], Image.Image]:
    """What a prompt box calls: (prompt, guidance, seed) -> an image of the generator on MUSE
    latents.
    """

    def draw(prompt: str, guidance: float, seed: int) -> Image.Image:
        seeded = torch.Generator().manual_seed(seed)
        steps = session.parameters.sampling_steps
        return session.pipeline(prompt, guidance, steps, generator=seeded).images[0]

    return draw
