"""The recorder: what it writes, and that training does not notice it."""

from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from accelerate import Accelerator

from muse_core.config.presets import tiny
from muse_core.config.stage import Loss
from muse_core.data.scenes import Scenes
from muse_core.errors import MuseError
from muse_core.evaluation.gradients.geometry_recorder import (
    GeometryRecorder,
    measured_geometry,
    probing,
)
from muse_core.evaluation.gradients.geometry_records import read_geometry
from muse_core.evaluation.gradients.gradient_geometry import Place
from muse_core.foundations.perceptual import TeacherFeatures
from muse_core.foundations.topology_teacher import DinoV3Teacher
from muse_core.training.fsdp import TAKEN, VERSION
from muse_core.training.teachers import Teachers
from muse_core.training.trainer import Trainer

from ...models.small_models import small_tokenizer

FIRST, SECOND, THIRD = (replace(stage, steps=10, ema_decay=0.5) for stage in tiny().curriculum)
SCENES = Scenes("train", 32)


@pytest.fixture(scope="module")
def teachers() -> Teachers:
    from ....integration.micro import TEACHER, small_text_tower

    torch.manual_seed(0)
    teacher = DinoV3Teacher.from_config(TEACHER, (0, 1, 1, 2, 2, 3)).requires_grad_(False)
    return Teachers(teacher, small_text_tower().requires_grad_(False), TeacherFeatures(teacher))


def trainer(teachers: Teachers, stage=THIRD, routing: str = "orthogonal") -> Trainer:
    torch.manual_seed(0)
    return Trainer(small_tokenizer(routing=routing), stage, teachers, Accelerator(cpu=True))


def trained(t: Trainer, observe) -> dict[str, torch.Tensor]:
    torch.manual_seed(5)
    for step in range(3):
        observe(t, step)
        t.update(SCENES.first(3), step)
    return t.state().tensors | {
        f"raw/{name}": value.clone() for name, value in t.tokenizer.state_dict().items()
    }


def test_weights_in_shards_are_not_measured(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv(TAKEN, "true")
    monkeypatch.setenv(VERSION, "2")
    many = Mock(Trainer, accelerator=Mock(Accelerator, num_processes=2))
    with pytest.raises(
        MuseError, match="The recorder of gradient geometry needs whole weights in every process"
    ):
        GeometryRecorder(tmp_path / "g.jsonl", SCENES, every=1)(many, 0)


@pytest.mark.parametrize("stage", [FIRST, THIRD], ids=["frozen backbone", "with a critic"])
def test_training_goes_on_bit_for_bit_as_without(teachers: Teachers, tmp_path: Path, stage) -> None:
    recorder = GeometryRecorder(tmp_path / "g.jsonl", SCENES, every=1, images=2)
    watched, alone = (
        trained(trainer(teachers, stage), recorder),
        trained(trainer(teachers, stage), lambda *_: None),
    )
    assert watched.keys() == alone.keys()
    assert not [name for name in watched if not torch.equal(watched[name], alone[name])]
    assert [each.step for each in read_geometry(tmp_path / "g.jsonl")] == [0, 1, 2]


def test_it_measures_every_k_steps_and_again_what_is_trained_again(
    teachers: Teachers, tmp_path: Path
) -> None:
    file, t = tmp_path / "g.jsonl", trainer(teachers)
    steps = lambda: [each.step for each in read_geometry(file)]
    recorder = GeometryRecorder(file, SCENES, every=2, images=2)
    for step in range(5):
        recorder(t, step)
    assert steps() == [0, 2, 4]
    GeometryRecorder(file, SCENES, every=2, images=2)(t, 3)
    assert steps() == [0, 2], "step 4 comes again after a resume at 3"


def test_all_three_tasks_are_measured_in_a_stage_that_trains_one(teachers: Teachers) -> None:
    t = trainer(teachers, FIRST)
    found = measured_geometry(t, SCENES.first(2))
    assert (
        found.energy["semantics"][Place("W_V semantic", 0)]
        > 0
        == found.energy["semantics"][Place("W_Q", 0)]
    )
    assert (
        found.energy["topology"][Place("W_Q", 0)]
        > 0
        == found.energy["topology"][Place("W_V semantic", 0)]
    )
    assert not any(place.kind == "backbone" for place in found.energy["pixels"]), (
        "the backbone is frozen in stage 1"
    )
    assert all(
        pair.cosine is None
        for place, pair in found.pairs["pixels", "semantics"].items()
        if place.block >= 0
    )


def test_the_probing_stage_keeps_its_own_weights() -> None:
    probed = probing(FIRST, distils=False)
    assert dict(probed.weights) == dict(FIRST.weights) | {Loss.ANCHOR: 1.0}
    assert Loss.DISTILLATION in probing(FIRST, distils=True).weights
    assert probing(THIRD, distils=False).weights == THIRD.weights
