"""What is started, with which words, and what becomes of a mistake. Real processes:
tests/integration/test_processes.py.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from muse_core.errors import MuseError
from muse_core.generation.generation_run import GenerationRun
from muse_core.results.records import append_jsonl, write_json
from muse_core.training import interrupts
from muse_core.training.launch import (
    ALONE,
    Launch,
    read_order,
    run_entry,
    train_launched,
)
from muse_core.training.stage_run import StageOrder, StageRun

MODULE = "muse_core.training"
RUN = StageRun(
    run="mine",
    preset="smoke",
    stage="01_topology_warmup",
    overrides="curriculum.order=joint teacher=timm:vit",
    processes=2,
)
ORDER = StageOrder(run=RUN, stage={"steps": 3}, losses={"mine": ["a:b", "pixels"]}, start="there")


def test_torchrun_or_accelerate(tmp_path: Path) -> None:
    file, config = tmp_path / "run.json", tmp_path / "accelerate.yaml"
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "3"]
    assert Launch(3).command(MODULE, file) == [sys.executable, *torchrun, "-m", MODULE, str(file)]
    with pytest.raises(
        MuseError,
        match=r"no Accelerate configuration .*accelerate.yaml: write one with `accelerate conf",
    ):
        Launch(1, str(config)).command(MODULE, file)
    config.write_text("num_processes: 2")
    assert Launch(1, str(config)).command(MODULE, file)[3:] == [
        "--config_file",
        str(config),
        "-m",
        MODULE,
        str(file),
    ]


def test_a_started_process_starts_no_others(monkeypatch) -> None:
    assert Launch(2).wanted and Launch(1, "a.yaml").wanted and not ALONE.wanted
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert not Launch(2).wanted
    monkeypatch.delenv("LOCAL_RANK")
    monkeypatch.setenv(interrupts.FOLDER_VARIABLE, "somewhere")
    assert not Launch(2).wanted


@pytest.mark.parametrize(
    "order", [ORDER, GenerationRun(run="mine", preset="smoke", latents="shared", processes=2)]
)
def test_an_order_travels_as_json(tmp_path: Path, order: StageOrder | GenerationRun) -> None:
    assert read_order(type(order), [str(write_json(tmp_path / "order.json", order))]) == order


@pytest.mark.parametrize(
    "text",
    ["{", "[]", json.dumps({"run": "mine"}), json.dumps({"run": 3, "preset": "", "stage": ""})],
)
def test_another_file_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(MuseError, match=r"run.json is not the JSON of a StageRun"):
        read_order(StageRun, [str(tmp_path / "run.json")])
    with pytest.raises(MuseError, match="Give one file"):
        read_order(StageRun, [])


def test_what_fails_leaves_its_sentence_for_the_one_that_waits(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setenv(interrupts.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setenv("RANK", "3")

    def fails(run: StageRun) -> None:
        raise MuseError(f"{run.run} fails.")

    assert run_entry(StageRun, fails, [str(write_json(tmp_path / "run.json", RUN))]) == 1
    assert (
        tmp_path / "error-00003.txt"
    ).read_text() == "mine fails." and "muse: mine fails." in capsys.readouterr().err


WRITES = """
import json, pathlib, sys, time
run = json.loads(pathlib.Path(sys.argv[1]).read_text())
file, first, keep = pathlib.Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
time.sleep(1.2)
kept = file.read_text().splitlines()[:keep] if file.exists() else []
file.unlink(missing_ok=True)
for step in range(first, 7):
    kept.append(json.dumps({"step": step, "loss/total": 1.0}))
file.write_text("\\n".join(kept) + "\\n")
"""
"""What a launched training does to the metrics file: after a while it is begun anew, or rewound."""


@pytest.mark.parametrize(("resume", "kept"), [(False, 0), (True, 3)])
def test_rows_of_an_earlier_training_are_not_taken_for_this_ones(
    tmp_path: Path, monkeypatch, resume: bool, kept: int
) -> None:
    metrics = tmp_path / "stage.jsonl"
    files = SimpleNamespace(place="01", folder=tmp_path / "01", metrics_file=metrics)
    options = SimpleNamespace(resume=resume, launch=Launch(2))
    trainer = SimpleNamespace(
        what="it", files=files, stage=SimpleNamespace(steps=6), options=options
    )
    append_jsonl(metrics, [{"step": step, "loss/total": 9.0} for step in range(1, 10)])
    words = [str(metrics), str(kept + 1), str(kept)]
    monkeypatch.setattr(
        Launch,
        "command",
        lambda self, module, file: [sys.executable, "-c", WRITES, str(file), *words],
    )
    seen: list[dict] = []
    train_launched(trainer, "none", RUN, seen.append)
    assert [row["step"] for row in seen[kept - 6 :]] == [1, 2, 3, 4, 5, 6][kept:]
    assert [row["loss/total"] for row in seen[kept - 6 :]] == [1.0] * (6 - kept)
    assert resume or len(seen) == 6, "nothing of the earlier training is shown"


def test_the_one_that_waits_can_stop_it_by_a_file_or_by_dying(tmp_path: Path, monkeypatch) -> None:
    assert not interrupts.asker_wants_stop()
    monkeypatch.setenv(interrupts.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setenv(interrupts.ASKER_VARIABLE, str(os.getpid()))
    assert not interrupts.asker_wants_stop()
    (tmp_path / interrupts.STOP).touch()
    assert interrupts.asker_wants_stop()
    (tmp_path / interrupts.STOP).unlink()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    monkeypatch.setenv(interrupts.ASKER_VARIABLE, str(gone.pid))
    assert interrupts.asker_wants_stop()
