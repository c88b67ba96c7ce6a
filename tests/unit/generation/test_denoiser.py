"""The sizes of the paper's generators, counted without allocating them."""

import pytest
import torch

from muse_core.config.preset import DENOISERS
from muse_core.generation.denoiser import build_denoiser


@pytest.mark.parametrize(("name", "millions"), [("sana-0.6b", 591.75), ("sana-1.6b", 1604.46)])
def test_sana_has_its_published_size(name: str, millions: float) -> None:
    """Counts of diffusers' Sana_600M and Sana_1600M configurations, captions 2,304 wide."""
    with torch.device("meta"):
        denoiser = build_denoiser(DENOISERS[name], 32, 16, 2304)
    assert sum(weight.numel() for weight in denoiser.parameters()) / 1e6 == pytest.approx(
        millions, abs=0.01
    )
