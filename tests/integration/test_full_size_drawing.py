"""A step of the drawing side at the paper's size, of random weights: InternVL3's language model, 256
queries, a connector of six layers, SANA-0.6B; on a CPU, where its 17 GB are.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from benchmarks.published import LANGUAGE_MODELS
from muse_core.config.preset import denoiser_named
from muse_core.config.presets import preset_named
from muse_core.foundations.language_model import LanguageModel
from muse_core.generation.denoiser import build_denoiser
from muse_core.generation.latent_normalisation import LatentNormalisation
from muse_core.training.trainer import RunOptions, Trainer
from muse_core.unified.draw_task import DrawTask, Reader
from muse_core.unified.drawer import Drawer
from muse_core.unified.drawing_connector import DrawingConnector
from muse_core.unified.drawn_pairs import DrawnPairs
from muse_core.unified.projector import VisualProjector
from tests.unit.unified.small_language import small_language_model

NAME = "muse-1b"
GIGABYTES = 18


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))
    if psutil.virtual_memory().available < GIGABYTES * 2**30:
        pytest.skip(f"needs {GIGABYTES} GB of free memory")
    yield


def full_size_pairs(channels: int, width: int) -> DrawnPairs:
    tokens = torch.randn(2, 64, width) * torch.tensor([0.0, 1.0])[:, None, None]
    edits = torch.tensor([False, True])
    said = "a red star", "a blue star"
    latents = torch.randn(2, channels, 8, 8)
    before = (latents * edits[:, None, None, None]).half()
    return DrawnPairs(latents, said, edits, tokens.half(), before, "random")


@pytest.mark.long
def test_a_drawing_and_an_editing_row_train_sana_and_connector_together(workspace: None) -> None:
    torch.manual_seed(0)
    preset, config = preset_named(NAME), Qwen2Config(**LANGUAGE_MODELS[NAME])
    shape, channels = preset.drawing_connector, 32 + preset.connector.semantic_channels
    words = small_language_model().tokenizer
    model = LanguageModel(Qwen2ForCausalLM(config), words).eval()
    width = preset.connector.width + channels
    projector = VisualProjector(width, config.hidden_size, unshuffle=1)
    connector = DrawingConnector.of(model, shape.queries, shape.layers, 2304)
    denoiser = build_denoiser(denoiser_named(preset.generation.denoiser), channels, 8, 2304)
    drawer = Drawer.of(connector, denoiser)
    del connector, denoiser

    pairs = full_size_pairs(channels, width)
    normalisation = LatentNormalisation.measured(pairs.latents, "random")
    reader = Reader(model, normalisation, projector, (8, 8))
    stage = replace(preset.drawing[-1], steps=2, batch_size=2, images=2, prompt_dropout=0.0)
    options = RunOptions(run="full-size", device="cpu")
    task = Trainer(drawer, stage, pairs, reader, options=options, task=DrawTask).task

    watched = {
        "queries": drawer.connector.queries,
        "the connector's last layer": drawer.connector.layers[-1].mlp.down_proj.weight,
        "the denoiser's first block": drawer.denoiser.transformer_blocks[0].attn2.to_k.weight,
    }
    before = {name: weight.detach().clone() for name, weight in watched.items()}
    row = task.update(pairs.__getitems__([0, 1]), 1)
    assert 0.5 < row["loss/flow_matching"] < 20 and row["gradient_norm/drawer"] > 0
    for name, weight in watched.items():
        assert not torch.equal(before[name], weight), name
    assert all(weight.grad is None for weight in model.parameters())
