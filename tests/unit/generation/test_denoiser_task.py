"""What a denoiser is trained on: some captions are dropped, for classifier-free guidance."""

from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator

from muse_core.config.presets import tiny
from muse_core.generation import denoiser_task
from muse_core.generation.denoiser_task import Conditions, DenoiserTask
from muse_core.generation.latents import LatentBatch

from .small_generators import small_pipeline

IMAGES = 200


@pytest.mark.parametrize(
    ("dropout", "least", "most"), [(0.0, 0, 0), (0.2, 25, 55), (1.0, 200, 200)]
)
def test_as_many_captions_are_dropped_as_the_stage_says(dropout, least, most, monkeypatch) -> None:
    pipeline, read = small_pipeline(), []
    stage = replace(tiny().generation, caption_dropout=dropout)
    conditions = Conditions(pipeline.codec, pipeline.normalisation, pipeline.text)
    task = DenoiserTask(pipeline.transformer, stage, conditions, None, Accelerator(cpu=True))
    plain = denoiser_task.conditioning

    def noted(text, captions):
        read.extend(captions)
        return plain(text, captions)

    monkeypatch.setattr(denoiser_task, "conditioning", noted)
    latents = torch.randn(IMAGES, *pipeline.latent_shape)
    ids = tuple(map(str, range(IMAGES)))
    task.update(LatentBatch(latents, ("a red star",) * IMAGES, ids), 0)
    assert len(read) == IMAGES and set(read) <= {"", "a red star"}
    assert least <= read.count("") <= most
