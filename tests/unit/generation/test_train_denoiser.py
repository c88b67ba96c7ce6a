"""What is refused before anything is made. Real trainings: tests/integration."""

from unittest.mock import Mock

import pytest
import torch
from accelerate import Accelerator

from muse_core.errors import MuseError
from muse_core.generation import train_denoiser as train
from muse_core.generation.generation_run import GenerationRun
from muse_core.training.fsdp import TAKEN, VERSION


def test_a_generator_in_shards_is_a_sentence(monkeypatch) -> None:
    monkeypatch.setenv(TAKEN, "true")
    monkeypatch.setenv(VERSION, "2")
    two = Mock(Accelerator, num_processes=2, device=torch.device("cpu"))
    monkeypatch.setattr(train, "accelerator_for", lambda *_: two)
    with pytest.raises(
        MuseError,
        match="The generator's training needs whole weights in every process: leave out FSDP",
    ):
        train._train_here(GenerationRun("mine", "smoke", latents="shared"), None, {})
