"""Every switch of the ablation table trains a whole curriculum at micro size, and observers see
each step without touching it.
"""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from muse_core.data.scenes import Scenes
from muse_core.errors import MuseError
from muse_core.evaluation.held_out import measure_held_out
from muse_core.foundations.image_tower import PROJECTION_FILE
from muse_core.training.stage_run import train_stage
from muse_core.training.teachers import load_teachers
from muse_core.training.trainer import StageResult

from .micro import BACKBONE, IMAGE_SIZE, before_each, finished_weights, micro_run, same

SWITCHES = {
    "reversed": dict(order="reversed"),
    "joint": dict(order="joint"),
    "no-topology": dict(without="topology"),
    "no-anchor": dict(without="anchor"),
    "distillation": dict(anchoring="distillation"),
    "naive": dict(routing="naive"),
    "literal": dict(routing="literal"),
    "literal-open": dict(routing="literal-open"),
    "trunk-routed": dict(routing="trunk-routed"),
    "release": dict(routing="release"),
    "shared-pcgrad": dict(surgery="pcgrad", routing="shared"),
}
IN_MAKE_TEST = ("no-topology", "shared-pcgrad", "distillation")
"""A loss left out, surgery, another anchor. The others are long; every routing also trains in
test_processes, and the joint order with the distilled tokenizer below.
"""


@pytest.fixture(autouse=True)
def projection(micro_root: Path):
    """What distillation needs beside the backbone, for as long as a test of this file lasts."""
    file = micro_root / "data/foundations/micro" / PROJECTION_FILE
    save_file({"weight": torch.randn(16, BACKBONE["hidden_size"])}, file)
    yield
    file.unlink()


def train_all(run: str, **changes: str) -> list[StageResult]:
    whole = micro_run("", run, **changes)
    return [
        train_stage(replace(whole, stage=stage.name)) for stage in whole.load_preset().curriculum
    ]


@pytest.mark.parametrize(
    "name",
    [
        name if name in IN_MAKE_TEST else pytest.param(name, marks=pytest.mark.long)
        for name in SWITCHES
    ],
)
def test_a_switch_trains_to_the_end_and_its_record_says_what_was_changed(
    micro: Path, name: str
) -> None:
    changes = SWITCHES[name]
    results = train_all(name, **changes)
    assert len(results) == (1 if name == "joint" else 3)
    assert all(math.isfinite(row["loss/total"]) for result in results for row in result.rows)
    assert {result.record.routing for result in results} == {changes.get("routing", "orthogonal")}
    assert all(value in result.record.overrides for value in changes.values() for result in results)
    losses = [set(result.record.losses) for result in results]
    assert (
        not any("topology" in each for each in losses)
        if name == "no-topology"
        else "topology" in losses[-1]
    )
    assert any("distillation" in each for each in losses) == (name == "distillation")


def test_a_distilled_tokenizer_is_measured_like_any_other(micro: Path) -> None:
    (result,) = train_all("distilled", anchoring="distillation", order="joint")
    teachers = load_teachers(micro_run("03_synergistic_tuning").load_preset(), "cpu")
    assert teachers.image is None
    assert math.isfinite(
        measure_held_out(result.tokenizer, Scenes("val", IMAGE_SIZE), teachers, 20).psnr
    )


def test_an_interrupted_stage_is_not_resumed_with_other_changes(micro: Path) -> None:
    run = micro_run("01_topology_warmup", "resumed")
    train_stage(run)
    with pytest.raises(MuseError, match=r"its checkpoint has stage\.weights\.perceptual="):
        train_stage(replace(run, resume=True, overrides="curriculum.without=perceptual"))


def test_observers_see_every_step_before_it_and_their_time_is_told_apart(
    micro: Path, whole: dict
) -> None:
    import time

    seen: list[int] = []

    def slow(trainer, step: int) -> None:
        assert trainer.stage.name == "01_topology_warmup"
        seen.append(step)
        time.sleep(0.05)

    run = micro_run("01_topology_warmup", "observed")
    record = train_stage(run, [before_each("slow", slow)]).record
    assert seen == [0, 1, 2, 3, 4, 5] and record.callbacks["slow"] >= 0.3
    assert same(finished_weights(run), finished_weights(micro_run("01_topology_warmup"))) == []


def test_the_time_of_observers_is_not_the_trainings(
    micro: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that only observers move: the training itself takes no time at all."""
    from muse_core.training import trainer

    clock = [0.0]
    monkeypatch.setattr(trainer.time, "monotonic", lambda: clock[0])

    def costly(trainer, step: int) -> None:
        clock[0] += 2.0

    run = micro_run("01_topology_warmup", "clocked")
    record = train_stage(run, [before_each("costly", costly)]).record
    assert record.callbacks == {"costly": 12.0} and record.seconds == 0.0
