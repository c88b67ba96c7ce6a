"""Two processes with the tokenizer in shards train what one does, losses to the last rounding;
checkpoints go on in either.
"""

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from muse_core.config.presets import tiny
from muse_core.errors import MuseError
from muse_core.models.backbone_routes import may_reach_weight
from muse_core.models.gradient_routes import routing_named
from muse_core.results.records import write_json
from muse_core.training.launch import Launch
from muse_core.training.stage_run import StageRun, train_stage

from .gradients_by_loss import LOSSES, gradients
from .micro import (
    STAGES,
    borrow_stage,
    finished_weights,
    last_training_state,
    micro_run,
    stopping_at,
    written_rows,
)
from .sharded import ROUTINGS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "scaling.md").read_text()
THIRD = tiny().curriculum[STAGES[2]]
SIX = "step-00000006"
THE_REST = """\
  fsdp_activation_checkpointing: false
  fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP
  fsdp_cpu_ram_efficient_loading: true
  fsdp_offload_params: false
  fsdp_state_dict_type: FULL_STATE_DICT
debug: false
downcast_bf16: 'no'
enable_cpu_affinity: false
machine_rank: 0
main_training_function: main
mixed_precision: bf16
rdzv_backend: static
same_network: true
use_cpu: false
"""
FRESH = [micro_run(stage, "fresh") for stage in STAGES[:2]]


pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def run(whole, micro_root):
    """Stage 3, stopped after two steps of one process and finished by two in shards, as the page's
    configuration starts them.

    Before it they measured gradients, and trained stages 1 and 2.
    """
    from .conftest import enter

    with pytest.MonkeyPatch.context() as monkeypatch:
        enter(micro_root, monkeypatch)
        run = micro_run(STAGES[2], "sharded")
        borrow_stage(run, STAGES[1])
        with pytest.raises(MuseError, match="is saved: run again with resume=True"):
            train_stage(run, [stopping_at(2, KeyboardInterrupt())])
        config = str(configuration(micro_root))
        launch_in_shards(Launch(accelerate_config=config), *FRESH, replace(run, resume=True))
        yield run


def configuration(folder: Path) -> Path:
    """The page's configuration of Accelerate, with two processes, and with all else that
    ``accelerate config`` writes.
    """
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    file = folder / "sharded.yaml"
    file.write_text(text.replace("num_processes: 8", "num_processes: 2") + THE_REST)
    return file


def launch_in_shards(launch: Launch, *runs: StageRun) -> None:
    files = [write_json(run.files.folder.with_suffix(".json"), run) for run in runs]
    *accelerate, _, _, _ = launch.command("", files[0])
    script = Path(__file__).with_name("sharded.py")
    done = subprocess.run(
        [*accelerate, *map(str, (script, measured_file(runs[-1]), *files))],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]


def measured_file(run: StageRun) -> Path:
    return run.files.folder.with_suffix(".safetensors")


@pytest.fixture(scope="module")
def by_shards(run) -> dict[str, torch.Tensor]:
    return load_file(measured_file(run))


@pytest.fixture(scope="module", params=ROUTINGS)
def pair(request, by_shards) -> tuple[str, dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """A routing; losses and gradients of one process, and of two in shards."""
    start = f"{request.param}/"
    two = {
        name.removeprefix(start): value
        for name, value in by_shards.items()
        if name.startswith(start)
    }
    return request.param, gradients(Accelerator(cpu=True), routing=request.param), two


def test_losses_and_gradients_are_those_of_one_process(pair) -> None:
    _, one, two = pair
    assert len(one) > 300 and one.keys() == two.keys()
    for name, value in one.items():
        loose = 1e-4 if name.startswith(("critic/", "lecam")) else 1e-5
        torch.testing.assert_close(
            two[name], value, rtol=loose, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_closed_cells_stay_exactly_zero(pair) -> None:
    routing, _, two = pair
    fields = (THIRD.trunk_hears, THIRD.trains_backbone, routing_named(routing))
    for loss in LOSSES:
        weights = [name.removeprefix(f"{loss}/") for name in two if name.startswith(f"{loss}/")]
        closed = {name for name in weights if not may_reach_weight(loss, name, *fields)}
        reached = {name for name in weights if two[f"{loss}/{name}"].any()}
        assert closed and reached and not closed & reached


def test_a_step_that_one_process_spoils_is_refused_in_all_and_changes_nothing(by_shards) -> None:
    assert by_shards["raised"] == 1 and by_shards["changed"] == 0 and by_shards["moved"] > 300


def test_a_process_holds_its_part_of_weights_averages_and_moments(by_shards) -> None:
    assert 0.4 < by_shards["held"] < 0.6


@pytest.mark.parametrize("stage", STAGES)
def test_the_rows_are_those_of_one_process(whole, run, stage) -> None:
    rows = written_rows({each.stage: each for each in (*FRESH, run)}[stage])
    expected = whole[stage].rows
    assert len(rows) == len(expected) == 6
    for row, other in zip(rows, expected, strict=True):
        assert row == pytest.approx(other, rel=1e-5, abs=1e-6)


def test_the_finished_tokenizer_is_that_of_one_process(whole, run) -> None:
    one, two = finished_weights(micro_run(STAGES[2])), finished_weights(run)
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=2e-3)


def test_a_checkpoint_from_shards_holds_what_one_process_writes_and_goes_on_there(
    whole, run
) -> None:
    one, two = last_training_state(micro_run(STAGES[2])), last_training_state(run)
    assert {name: value.shape for name, value in one.items()} == {
        name: value.shape for name, value in two.items()
    }
    shutil.rmtree(run.files.checkpoints / SIX)
    shutil.rmtree(run.tokenizer_folder)
    again = train_stage(replace(run, resume=True)).record
    assert (again.resumed_at, again.processes) == (4, 1)
    for row, other in zip(written_rows(run), whole[STAGES[2]].rows, strict=True):
        assert row == pytest.approx(other, rel=1e-5, abs=1e-6)
