"""Generation is one more stage: it trains, resumes bit for bit, refuses a tokenizer that changed,
and touches none.
"""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from muse_core.errors import MuseError
from muse_core.generation.generation_run import (
    AUTOENCODER,
    GenerationRun,
    load_codec,
    train_generator,
)
from muse_core.generation.snapshots import snapshot_steps, snapshots
from muse_core.training.stage_run import StageRun

from .micro import PRESET

SMALL = "stage.batch_size=4 stage.images=16 stage.steps="
RUN = GenerationRun(run="whole", preset=PRESET, overrides=f"{SMALL}6", device="cpu")


@pytest.fixture
def trained(micro, whole):
    return train_generator(RUN)


def weights(run: GenerationRun) -> dict[str, torch.Tensor]:
    return load_file(next((run.files.folder / "pipeline" / "transformer").glob("*.safetensors")))


def test_it_trains_writes_its_record_and_leaves_the_tokenizer_as_it_was(micro, whole) -> None:
    last = StageRun(run="whole", preset=PRESET, stage="03_synergistic_tuning")
    before = load_file(next(last.tokenizer_folder.glob("*.safetensors")))
    result = train_generator(replace(RUN, fresh=True))
    after = load_file(next(last.tokenizer_folder.glob("*.safetensors")))
    assert before.keys() == after.keys() and all(
        torch.equal(before[name], after[name]) for name in before
    )
    assert all(
        weight.grad is None and not weight.requires_grad
        for weight in result.pipeline.vae.parameters()
    )
    assert result.record.steps == len(result.rows) == 6 and RUN.files.record_file.exists()
    assert list(snapshots(RUN.snapshots)) == snapshot_steps(6)


def test_interrupted_and_resumed_equals_uninterrupted(trained, monkeypatch) -> None:
    from muse_core.generation.denoiser_task import DenoiserTask

    run = replace(RUN, overrides=f"{SMALL}6 stage.checkpoint_every=2", fresh=True)
    expected = weights(run)
    update, calls = DenoiserTask.update, []

    def stops_at_the_fourth(self, batch, step):
        calls.append(step)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return update(self, batch, step)

    monkeypatch.setattr(DenoiserTask, "update", stops_at_the_fourth)
    with pytest.raises(MuseError, match="inside step"):
        train_generator(run)
    monkeypatch.setattr(DenoiserTask, "update", update)
    result = train_generator(replace(run, resume=True, fresh=False))
    assert result.record.resumed_at == 2 and [row["step"] for row in result.rows] == [
        1,
        2,
        3,
        4,
        5,
        6,
    ]
    found = weights(run)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_tokenizer_that_was_trained_on_is_refused_with_the_fix(trained, monkeypatch) -> None:
    changed = load_codec(RUN).network
    with torch.no_grad():
        next(changed.parameters()).add_(0.1)
    monkeypatch.setattr(
        "muse_core.generation.generation_run.finished_tokenizer", lambda run, stage: changed
    )
    with pytest.raises(
        MuseError,
        match=r"Cannot resume .* its checkpoint has tokenizer=.*another run name, or resume=False",
    ):
        train_generator(replace(RUN, resume=True))


def test_a_stage_and_a_loss_of_ones_own_are_trained_and_recorded(micro, whole) -> None:
    def absolute(predicted, data, noise):
        return (predicted - (noise - data)).abs().mean()

    stage = replace(RUN.load_preset().generation, steps=2)
    mine = replace(RUN, run="mine", tokenizers="whole")
    result = mine.open(stage).trainer(losses={"absolute": absolute}).fit()
    assert [row["step"] for row in result.rows] == [1, 2]
    assert result.rows[0].keys() >= {"loss/absolute", "learning_rate"}
    assert list(result.record.configuration["losses"]) == ["absolute"]
    assert result.record.configuration["stage"]["steps"] == 2


def test_the_plain_autoencoder_and_missing_tokenizers(micro, whole) -> None:
    result = train_generator(replace(RUN, latents=AUTOENCODER, overrides=f"{SMALL}2"))
    assert result.pipeline.to_images(result.pipeline.sample(["a red star"], 1.0, 2)).shape == (
        1,
        3,
        32,
        32,
    )
    with pytest.raises(
        MuseError, match=r"Run 'whole-shared' has no finished 03_synergistic_tuning: first execute"
    ):
        train_generator(replace(RUN, latents="shared"))
    with pytest.raises(MuseError, match="Unknown kind of latents 'muze'"):
        train_generator(replace(RUN, latents="muze"))
    with pytest.raises(MuseError, match=r"stage.steps cannot be '-1'"):
        train_generator(replace(RUN, overrides="stage.steps=-1"))
    with pytest.raises(MuseError, match="Unknown denoiser 'sana'"):
        train_generator(replace(RUN, overrides="stage.denoiser=sana"))
