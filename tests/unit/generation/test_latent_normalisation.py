"""Latents are scaled exactly once each way, and never with the statistics of another tokenizer."""

import pytest
import torch

from muse_core.errors import MuseError
from muse_core.generation.latent_normalisation import LatentNormalisation


def latents() -> torch.Tensor:
    return torch.randn(40, 3, 4, 4) * torch.tensor([0.5, 7.0, 0.0]).view(-1, 1, 1) + torch.tensor(
        [1.0, -3, 2]
    ).view(-1, 1, 1)


def test_each_channel_gets_zero_mean_and_unit_variance_and_comes_back() -> None:
    raw = latents()
    measured = LatentNormalisation.measured(raw, "abc")
    scaled = measured.normalise(raw)
    assert torch.allclose(scaled.mean((0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(scaled.std((0, 2, 3))[:2], torch.ones(2), atol=1e-4), (
        "the third never moves and is left alone"
    )
    assert torch.allclose(measured.denormalise(scaled), raw, atol=1e-5)


def test_statistics_survive_a_folder_and_say_whose_they_are(tmp_path) -> None:
    measured = LatentNormalisation.measured(latents(), "abc")
    measured.save_pretrained(tmp_path / "held")
    loaded = LatentNormalisation.from_pretrained(tmp_path / "held")
    assert torch.equal(loaded.std, measured.std) and loaded.config.images == 40
    loaded.require("abc")
    with pytest.raises(MuseError, match="measured on tokenizer abc, but the tokenizer here is xyz"):
        loaded.require("xyz")


def test_missing_statistics_and_bad_latents_are_sentences(tmp_path) -> None:
    with pytest.raises(MuseError, match="holds no latent statistics"):
        LatentNormalisation.from_pretrained(tmp_path)
    with pytest.raises(MuseError, match="not all finite"):
        LatentNormalisation.measured(torch.full((2, 3, 4, 4), float("nan")), "abc")
