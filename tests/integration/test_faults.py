"""Bad days of a training: NaN steps, dying workers, full disks, two at a time; nothing is lost and
nothing is silent.
"""

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from muse_core.data.image_files import FileSource
from muse_core.data.scenes import Scenes
from muse_core.errors import MuseError
from muse_core.results.records import read_json
from muse_core.training import critic as critic_module
from muse_core.training import task
from muse_core.training.checkpoint import latest_checkpoint
from muse_core.training.stage_run import train_stage
from muse_core.training.tokenizer_task import TokenizerTask

from .micro import (
    STAGES,
    before_each,
    borrow_stage,
    finished_weights,
    last_training_state,
    micro_run,
    same,
    stopping_at,
    written_rows,
)


def frozen(trainer: TokenizerTask) -> dict[str, torch.Tensor]:
    """Everything an update may change but the random state, copied."""
    weights = {
        f"raw/{name}": weight.detach().clone()
        for name, weight in trainer.tokenizer.state_dict().items()
    }
    state = {
        name: tensor
        for name, tensor in trainer.state().tensors.items()
        if not name.startswith("rng/")
    }
    return weights | {
        name: tensor for name, tensor in state.items() if not name.endswith(("._u", "._v"))
    }


@pytest.fixture
def third(whole, micro):
    """Stage 3, which has a critic, after the stages before it."""

    def begin(name: str, **options):
        run = micro_run(STAGES[2], name, **options)
        borrow_stage(run, STAGES[1])
        return run

    return begin


def nan_batch(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = TokenizerTask.update
    monkeypatch.setattr(
        TokenizerTask,
        "update",
        lambda self, batch, at: plain(
            self, replace(batch, images=batch.images * torch.nan) if at == step else batch, at
        ),
    )


def nan_gradient(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, calls = task.clip_groups, []

    def poisoned(optimiser, norm):
        if len(calls) == step:
            weights = (weight for group in optimiser.param_groups for weight in group["params"])
            next(weight for weight in weights if weight.grad is not None).grad.fill_(torch.inf)
        calls.append(1)
        return plain(optimiser, norm)

    monkeypatch.setattr(task, "clip_groups", poisoned)


def nan_critic(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, calls = critic_module.discriminator_loss, []

    def poisoned(real, fake):
        calls.append(1)
        return plain(real, fake) * (torch.nan if len(calls) == step + 1 else 1)

    monkeypatch.setattr(critic_module, "discriminator_loss", poisoned)


@pytest.mark.parametrize("poison", [nan_batch, nan_gradient, nan_critic])
def test_a_bad_step_changes_nothing_and_is_listed(third, monkeypatch, poison) -> None:
    run = third(poison.__name__, bad_steps=1)
    poison(2, monkeypatch)
    states: dict[int, dict[str, torch.Tensor]] = {}
    copies = before_each(
        "copies", lambda trainer, step: states.update({step: frozen(trainer.task)})
    )
    record = train_stage(run, [copies]).record
    assert record.bad_steps == [3] and read_json(run.files.record_file)["bad_steps"] == [3]
    assert written_rows(run)[2] == {"step": 3, "skipped": 1} and len(written_rows(run)) == 6
    assert same(states[2], states[3]) == [] and same(states[3], states[4]) != []
    assert all(torch.isfinite(weight).all() for weight in last_training_state(run).values())


@pytest.mark.parametrize("poison", [nan_gradient, nan_critic])
def test_it_stops_unless_it_may_skip(third, monkeypatch, poison) -> None:
    run = third(f"{poison.__name__}-stops")
    poison(2, monkeypatch)
    with pytest.raises(
        MuseError, match=r"stopped at step 3: the .* on the samples .*step-00000002 is kept"
    ):
        train_stage(run)


def test_skipped_steps_are_remembered_when_it_goes_on(whole, micro, monkeypatch) -> None:
    """And the allowance with them: a stage does not skip as many again after each stop."""
    run = micro_run(STAGES[0], "skips", bad_steps=1)
    with monkeypatch.context() as patch:
        nan_batch(1, patch)
        with pytest.raises(MuseError, match="Interrupted"):
            train_stage(run, [stopping_at(4, KeyboardInterrupt())])
    with monkeypatch.context() as patch:
        nan_batch(4, patch)
        with pytest.raises(MuseError, match="stopped at step 5"):
            train_stage(replace(run, resume=True))
    assert train_stage(replace(run, resume=True)).record.bad_steps == [2]


def test_a_worker_that_dies_is_one_sentence_and_resuming_costs_nothing(
    whole, micro, impatient_loader, tmp_path, monkeypatch
) -> None:
    for index, image in enumerate(Scenes("train", 32).first(30).images):
        place = tmp_path / "images" / "all" / f"{index}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image.permute(1, 2, 0) * 255).byte().numpy()).save(place)
    data, plain, died = f"folder:{tmp_path / 'images'}", FileSource.load, tmp_path / "died"
    options = dict(data=data, overrides="loader_workers=2")
    undisturbed = micro_run(STAGES[0], "workers", **options)
    train_stage(undisturbed)
    run = micro_run(STAGES[0], "dying-workers", **options)
    parent = os.getpid()

    def deadly(self, index):
        if os.getpid() != parent and not died.exists() and self.sample_id(index).endswith("7.png"):
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return plain(self, index)

    monkeypatch.setattr(FileSource, "load", deadly)
    with pytest.raises(MuseError, match=r"a worker that reads its data died .* resume=True"):
        train_stage(run)
    train_stage(replace(run, resume=True))
    assert written_rows(run) == written_rows(undisturbed)
    assert same(finished_weights(run), finished_weights(undisturbed)) == []


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A real file system of a few megabytes."""
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", place], capture_output=True
    ).returncode:
        pytest.skip("mounting a small file system needs root")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_disk_that_fills_keeps_the_earlier_checkpoints_and_is_one_sentence(
    whole, micro, small_disk
) -> None:
    run = micro_run(STAGES[0], "small-disk")
    run.files.folder.parent.mkdir(parents=True)
    run.files.folder.symlink_to(small_disk / "stage", target_is_directory=True)
    (small_disk / "stage").mkdir()
    ballast = small_disk / "ballast"

    def fill(trainer, step: int) -> None:
        if step == 3:
            with (
                ballast.open("wb", buffering=0) as file,
                pytest.raises(OSError, match="No space left"),
            ):
                while file.write(b"x" * 65536):
                    pass

    with pytest.raises(
        MuseError,
        match=r"Cannot write the checkpoint .*step-00000004.*No space left.*earlier checkpoints",
    ):
        train_stage(run, [before_each("fill", fill)])
    assert latest_checkpoint(run.files.checkpoints).name == "step-00000002"
    assert [path.name for path in run.files.checkpoints.iterdir()] == ["step-00000002"]
    ballast.unlink()
    train_stage(replace(run, resume=True))
    assert same(finished_weights(run), finished_weights(micro_run(STAGES[0]))) == []


def test_a_second_training_of_the_same_stage_is_refused_and_harms_nothing(whole, micro) -> None:
    run = micro_run(STAGES[0], "contested")
    refused = []

    def second(trainer, step: int) -> None:
        if step == 3:
            with pytest.raises(MuseError, match="is being trained by another process") as caught:
                train_stage(run)
            refused.append(str(caught.value))

    train_stage(run, [before_each("second", second)])
    assert len(refused) == 1
    assert written_rows(run) == written_rows(micro_run(STAGES[0]))


def test_leftovers_of_a_killed_process_are_gone_after_the_next_start(whole, micro) -> None:
    run = micro_run(STAGES[0], "leftovers")
    left = run.files.checkpoints / ".step-00000002.99999.tmp"
    left.mkdir(parents=True)
    (left / "training.safetensors").write_bytes(b"half")
    train_stage(replace(run, resume=True))
    assert sorted(path.name for path in run.files.checkpoints.glob(".*")) == []


def test_the_record_says_how_long_the_step_waited_for_data(whole, micro) -> None:
    assert 0 < read_json(micro_run(STAGES[0]).files.record_file)["data_wait_share"] < 1


def test_a_tracker_that_is_not_installed_is_said_before_anything_is_touched(
    whole, micro, monkeypatch
) -> None:
    from muse_core.training import trackers

    monkeypatch.setattr(trackers, "get_available_trackers", lambda: [])
    run = micro_run(STAGES[0], "untracked", trackers="tensorboard")
    with pytest.raises(MuseError, match="pip install tensorboard"):
        train_stage(run)
    assert not run.files.folder.exists()
