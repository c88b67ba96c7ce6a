"""The systems of Table 1, trained end to end by names: that they repeat and resume bit for bit."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from muse_core.baselines.systems import SYSTEMS
from muse_core.errors import MuseError
from muse_core.training.system_run import SystemRun, train_system
from muse_core.training.trainer import RunFiles

from ..unit.baselines.own_system import NAME
from .conftest import enter
from .micro import same, stopping_at
from .systems import bits, furnish, system_run


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("systems")
    furnish(root)
    return root


@pytest.fixture
def workspace(furnished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    enter(furnished, monkeypatch)
    return furnished


def stages(run: SystemRun) -> list[RunFiles]:
    opened = run.open()
    return [opened.files(stage) for stage in opened.curriculum]


def left_by(run: SystemRun) -> dict[str, torch.Tensor]:
    """All that the stages of a run leave: networks, optimisers, averages, random states."""
    found = {}
    for files in stages(run):
        last = sorted(files.checkpoints.glob("step-*"))[-1]
        for folder in (files.folder / "tokenizer", last / "tokenizer", last):
            (file,) = folder.glob("*.safetensors")
            key = f"{files.place}/{folder.relative_to(files.folder).parts[0][:4]}/{folder.name[:4]}"
            found |= {f"{key}/{name}": value for name, value in load_file(file).items()}
    return found


def rows(run: SystemRun) -> list[dict[str, float]]:
    lines = [line for files in stages(run) for line in files.metrics_file.read_text().splitlines()]
    return [json.loads(line) for line in lines]


IN_MAKE_TEST = ("unilip", "vtp")
"""One of two stages, and one with a moving average of its own; the others in `make test-all`."""


@pytest.mark.parametrize(
    "system",
    [
        pytest.param(name, marks=[] if name in IN_MAKE_TEST else pytest.mark.long)
        for name in SYSTEMS
    ],
)
def test_an_interrupt_saves_and_resuming_equals_never_stopping(workspace, system) -> None:
    whole = system_run(system, f"whole-{system}")
    results = train_system(whole)
    assert [result.record.resumed_at for result in results] == [0] * len(results)
    stopped = replace(whole, run=f"stopped-{system}")
    with pytest.raises(MuseError, match=r"Interrupted .* at step 1; it is saved"):
        train_system(stopped, [stopping_at(1, KeyboardInterrupt())])
    resumed = train_system(replace(stopped, resume=True))
    assert resumed[0].record.resumed_at == 1
    assert rows(stopped) == rows(whole)
    assert same(left_by(stopped), left_by(whole)) == []
    finished = results[-1].network
    assert type(finished) is SYSTEMS[system] and not finished.training
    assert same(bits(finished), bits(resumed[-1].network)) == []
    record = json.loads(stages(whole)[-1].record_file.read_text())
    assert record["configuration"]["system"] == SYSTEMS[system].__name__
    assert record["perceptual_network"] == "teacher features"


def test_the_second_stage_goes_on_from_the_first(workspace) -> None:
    run = system_run("unilip", "two")
    first, second = train_system(run)
    assert (
        same(
            {n: v for n, v in bits(first.network).items() if n.startswith("projection.")},
            {n: v for n, v in bits(second.network).items() if n.startswith("projection.")},
        )
        == []
    )
    opened = run.open()
    start = bits(opened.trainer(opened.curriculum["system_2"]).made_of[0])
    assert same(start, bits(first.network)) == []
    assert same(bits(first.network), bits(second.network)) != []


def test_a_users_own_system_trains_by_its_name(workspace) -> None:
    (result,) = train_system(system_run(NAME, "own"))
    assert {"loss/size", "loss/reconstruction", "loss/total"} <= result.rows[0].keys()
    configuration = result.record.configuration
    assert configuration["system"] not in ("OwnSystem", ""), "its code's digest, not a name alone"
    assert configuration["tokenizer"] == {"image_size": 32}


def test_what_is_trained_already_is_told_and_another_seed_is_another(workspace, capsys) -> None:
    run = system_run("rae", "told")
    (first,) = train_system(run)
    (again,) = train_system(run)
    assert "is trained already" in capsys.readouterr().out
    assert same(bits(first.network), bits(again.network)) == []
    (other,) = train_system(replace(run, seed=1, run="told-1"))
    assert same(bits(first.network), bits(other.network)) != []
