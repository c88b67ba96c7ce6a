"""Two processes train what one does: losses, gradients, routing zeros, weights; checkpoints of two
go on in one, and back.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from muse_core.config.presets import tiny
from muse_core.errors import MuseError
from muse_core.generation.generation_run import GenerationRun, train_generator
from muse_core.models.backbone_routes import may_reach_weight
from muse_core.models.gradient_routes import ROUTINGS, routing_named
from muse_core.training.launch import LOG, launch_folder
from muse_core.training.run_lock import run_lock
from muse_core.training.stage_run import train_stage

from .answers_trained import train
from .gradients_by_loss import LOSSES, gradients
from .micro import (
    PRESET,
    STAGES,
    after_each,
    borrow_stage,
    finished_weights,
    micro_run,
    stopping_at,
    written_rows,
)

HERE = Path(__file__).parent
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
SMALL = "stage.steps=4 stage.batch_size=4 stage.images=16"


@pytest.fixture
def two(micro, monkeypatch) -> None:
    """Every process of a launcher has one thread, and the code that is tested."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(HERE.parents[1]))


@pytest.fixture(scope="module")
def by_one() -> dict[str, torch.Tensor]:
    return gradients(Accelerator(cpu=True))


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> tuple[dict[str, torch.Tensor], list[str]]:
    """What two processes measured and printed, under the routings and with each loss alone."""
    file = tmp_path_factory.mktemp("gradients") / "two.safetensors"
    command = [*TORCHRUN, "-m", "tests.integration.every_routing", str(file)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parents[1])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return load_file(file), done.stdout.splitlines()


@pytest.fixture(scope="module")
def by_two(pair) -> dict[str, torch.Tensor]:
    return pair[0]


def test_every_stage_trains_under_every_routing_in_two_processes(pair) -> None:
    """No process waits for the gradient of a weight that no loss of the stage reaches."""
    trained = [line.rsplit(" ", 1)[0] for line in pair[1]]
    expected = [f"{routing} {stage.name}" for routing in ROUTINGS for stage in tiny().curriculum]
    assert trained == expected


@pytest.mark.parametrize("loss", LOSSES)
def test_loss_and_gradients_of_two_processes_are_those_of_one(by_one, by_two, loss) -> None:
    mine = {name: value for name, value in by_one.items() if name.split("/")[0] == loss}
    assert len(mine) > 50 and by_two[loss].item() == pytest.approx(by_one[loss].item(), rel=1e-5)
    for name, value in mine.items():
        torch.testing.assert_close(
            by_two[name], value, rtol=1e-5, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.parametrize("loss", LOSSES)
def test_closed_cells_stay_exactly_zero_across_processes(by_two, loss) -> None:
    third = tiny().curriculum[STAGES[2]]
    fields = (third.trunk_hears, third.trains_backbone, routing_named("orthogonal"))
    weights = [name.removeprefix(f"{loss}/") for name in by_two if name.startswith(f"{loss}/")]
    closed = [name for name in weights if not may_reach_weight(loss, name, *fields)]
    assert closed and not any(by_two[f"{loss}/{name}"].any() for name in closed)
    reached = [name for name in weights if by_two[f"{loss}/{name}"].any()]
    assert reached and set(reached) <= set(weights) - set(closed)


def test_the_critic_and_its_anchors_are_shared(by_one, by_two) -> None:
    names = [name for name in by_one if name.startswith(("critic/", "lecam"))]
    assert len(names) > 4
    for name in names:
        torch.testing.assert_close(by_two[name], by_one[name], rtol=1e-4, atol=1e-5)


def close(
    first: list[dict[str, float]], second: list[dict[str, float]], tolerance: float = 1e-4
) -> None:
    """The same rows, to float32 rounding in another order of addition."""
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert a.keys() == b.keys()
        assert {k: v for k, v in b.items() if k.startswith("loss/")} == pytest.approx(
            {k: v for k, v in a.items() if k.startswith("loss/")}, rel=tolerance, abs=1e-6
        )


def test_a_stage_launched_in_two_processes_is_the_stage_of_one(whole, two) -> None:
    run = micro_run(STAGES[2], "pair", processes=2)
    borrow_stage(run, STAGES[1])
    seen: list[int] = []
    result = train_stage(run, [after_each(lambda row: seen.append(row["step"]))])
    assert (
        result.record.processes == 2
        and result.record.batch_size == 4
        and seen[-1] == 6 == len(result.rows)
    )
    close(whole[STAGES[2]].rows, result.rows)
    one = finished_weights(micro_run(STAGES[2]))
    for name, value in finished_weights(run).items():
        torch.testing.assert_close(
            value, one[name], rtol=1e-3, atol=2e-3, msg=lambda text, name=name: f"{name}: {text}"
        )
    assert not list(run.files.folder.glob("**/*.tmp"))


@pytest.mark.long
def test_a_denoiser_of_two_processes_is_the_denoiser_of_one(whole, two) -> None:
    run = GenerationRun(run="whole", preset=PRESET, overrides=SMALL, device="cpu")
    one = train_generator(run)
    pair = train_generator(replace(run, processes=2, fresh=True))
    close(one.rows, pair.rows)
    found, expected = (result.pipeline.transformer.state_dict() for result in (pair, one))
    for name, value in expected.items():
        torch.testing.assert_close(
            found[name], value, rtol=1e-3, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}"
        )
    assert pair.record.processes == 2


@pytest.mark.long
def test_a_projector_of_two_processes_is_the_projector_of_one(tmp_path, monkeypatch) -> None:
    """Answers differ in length, and every word counts the same in whichever process it is."""
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))
    file = tmp_path / "two.safetensors"
    command = [*TORCHRUN, "-m", "tests.integration.answers_trained", str(file)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parents[1])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    found, expected = load_file(file), train("one", 1)
    for name, value in expected.items():
        torch.testing.assert_close(
            found[name], value, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.long
def test_checkpoints_of_two_go_on_in_one_and_back(whole, two) -> None:
    run = micro_run(STAGES[1], "swap")
    borrow_stage(run, STAGES[0])
    with pytest.raises(MuseError, match="is saved: run again with resume=True"):
        train_stage(run, [stopping_at(2, KeyboardInterrupt())])
    result = train_stage(replace(run, resume=True, processes=2))
    assert result.record.resumed_at == 2 and result.record.processes == 2
    close(whole[STAGES[1]].rows, result.rows)
    shutil.rmtree(run.files.checkpoints / "step-00000006")
    shutil.rmtree(run.tokenizer_folder)
    again = train_stage(replace(run, resume=True)).record
    assert (again.resumed_at, again.processes) == (4, 1), (
        "from a checkpoint that two processes wrote"
    )
    close(whole[STAGES[1]].rows, written_rows(run))


@pytest.mark.long
def test_an_interrupt_here_saves_there(two, monkeypatch) -> None:
    run = micro_run(STAGES[0], "stopped", steps=400, processes=2)
    with pytest.raises(
        MuseError,
        match=r"Interrupted 01_topology_warmup of run .* at step \d+; it is saved: run again with "
        r"resume",
    ):
        train_stage(run, [stopping_at(2, KeyboardInterrupt())])
    (last,) = sorted(run.files.checkpoints.glob("step-*"))[-1:]
    assert 2 <= int(last.name.removeprefix("step-")) < 400


@pytest.mark.long
def test_what_fails_there_is_one_sentence_here(two) -> None:
    run = micro_run(STAGES[0], "early", processes=2)
    with (
        run_lock(run.files.folder, "it"),
        pytest.raises(MuseError, match="is being trained by another process") as caught,
    ):
        train_stage(run)
    assert "\n" not in str(caught.value) and (launch_folder(run.files.folder) / LOG).exists()
