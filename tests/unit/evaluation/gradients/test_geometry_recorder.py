"""The recorder: what it writes, and that training does not notice it."""

from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from muse_core.callback import Callback
from muse_core.config.presets import tiny
from muse_core.config.stage import Loss
from muse_core.data.scenes import Scenes
from muse_core.errors import MuseError
from muse_core.evaluation.gradients.geometry_recorder import (
    GeometryRecorder,
    absolute_cosines,
    energy_shares,
    mean_cosine,
    measured_geometry,
    probing,
    read_geometry,
)
from muse_core.evaluation.gradients.gradient_geometry import GradientGeometry, Place, in_blocks
from muse_core.foundations.perceptual import TeacherFeatures
from muse_core.foundations.topology_teacher import DinoV3Teacher
from muse_core.training.fsdp import TAKEN, VERSION
from muse_core.training.loss_terms import TERMS, LossTerm
from muse_core.training.teachers import Teachers
from muse_core.training.tokenizer_task import TokenizerTask
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
    task = TokenizerTask(
        small_tokenizer(routing=routing), stage, teachers, TERMS, Accelerator(cpu=True)
    )
    return Mock(Trainer, task=task)


def trained(t: Trainer, callback: Callback) -> dict[str, torch.Tensor]:
    torch.manual_seed(5)
    for step in range(3):
        callback.before_step(t, step)
        t.task.update(SCENES.first(3), step)
    return t.task.state().tensors | {
        f"raw/{name}": value.clone() for name, value in t.task.tokenizer.state_dict().items()
    }


def test_weights_in_shards_are_not_measured(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv(TAKEN, "true")
    monkeypatch.setenv(VERSION, "2")
    many = Mock(Trainer, task=Mock(TokenizerTask, accelerator=Mock(Accelerator, num_processes=2)))
    with pytest.raises(
        MuseError, match="The recorder of gradient geometry needs whole weights in every process"
    ):
        GeometryRecorder(tmp_path / "g.jsonl", SCENES, every=1).before_step(many, 0)


@pytest.mark.parametrize("stage", [FIRST, THIRD], ids=["frozen backbone", "with a critic"])
def test_training_goes_on_bit_for_bit_as_without(teachers: Teachers, tmp_path: Path, stage) -> None:
    recorder = GeometryRecorder(tmp_path / "g.jsonl", SCENES, every=1, images=2)
    watched, alone = (
        trained(trainer(teachers, stage), recorder),
        trained(trainer(teachers, stage), Callback()),
    )
    assert watched.keys() == alone.keys()
    assert not [name for name in watched if not torch.equal(watched[name], alone[name])]
    assert read_geometry([tmp_path / "g.jsonl"]).steps.tolist() == [0, 1, 2]


def test_it_measures_every_k_steps_and_again_what_is_trained_again(
    teachers: Teachers, tmp_path: Path
) -> None:
    file, t = tmp_path / "g.jsonl", trainer(teachers)
    steps = lambda: read_geometry([file]).steps.tolist()
    recorder = GeometryRecorder(file, SCENES, every=2, images=2)
    for step in range(5):
        recorder.before_step(t, step)
    assert steps() == [0, 2, 4]
    GeometryRecorder(file, SCENES, every=2, images=2).before_step(t, 3)
    assert steps() == [0, 2], "step 4 comes again after a resume at 3"


def test_all_three_tasks_are_measured_in_a_stage_that_trains_one(teachers: Teachers) -> None:
    t = trainer(teachers, FIRST)
    found = measured_geometry(t.task, SCENES.first(2))
    energy = lambda task, kind: found.energy(task)[found.places.index(Place(kind, 0))]
    assert energy("semantics", "W_V semantic") > 0 == energy("semantics", "W_Q")
    assert energy("topology", "W_Q") > 0 == energy("topology", "W_V semantic")
    assert energy("pixels", "backbone") == 0, "the backbone is frozen in stage 1"
    assert np.isnan(found.at(in_blocks).cosines("pixels", "semantics")).all()


def test_the_probing_stage_keeps_its_own_weights() -> None:
    probed = probing(FIRST, TERMS, distils=False)
    assert dict(probed.weights) == dict(FIRST.weights) | {Loss.ANCHOR: 1.0}
    assert Loss.DISTILLATION in probing(FIRST, TERMS, distils=True).weights
    assert probing(THIRD, TERMS, distils=False).weights == THIRD.weights
    mine = replace(FIRST, weights={"mine": 0.5})
    losses = {**TERMS, "mine": LossTerm(lambda step: step.output.latent.mean(), row="pixels")}
    assert set(probing(mine, losses, distils=False).weights) == {"mine", "anchor", "topology"}


def test_a_measurement_survives_the_disk_and_steps_run_on(
    teachers: Teachers, tmp_path: Path
) -> None:
    files, t = [tmp_path / "1.jsonl", tmp_path / "2.jsonl"], trainer(teachers)
    for file in files:
        GeometryRecorder(file, SCENES, every=1, images=2).before_step(t, 0)
    read, found = read_geometry(files, starts=[0, 7]), measured_geometry(t.task, SCENES.first(2))
    assert (read.losses, read.places) == (found.losses, found.places)
    assert read.steps.tolist() == [0, 7] and np.array_equal(read.gram == 0, [found.gram == 0] * 2)
    assert np.allclose(read.gram, found.gram, rtol=1e-5, atol=0)
    assert np.allclose(read.conflict, found.conflict, rtol=1e-5, equal_nan=True)


@pytest.mark.parametrize("text", ["", '{"step": 1}\n', '{"step": 1, "losses": ["a"], "gram": 3}\n'])
def test_what_is_no_measurement_is_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "g.jsonl").write_text(text)
    with pytest.raises(MuseError, match="holds no measured gradients"):
        read_geometry([tmp_path / "g.jsonl"])


def test_absolute_cosines_are_means_where_a_weight_hears_both() -> None:
    places = (Place("W_V semantic", 0), Place("W_V semantic", 1), Place("W_Q", 0))
    gram = np.zeros((2, 3, 2, 2))
    # Two measurements of two blocks, at cosines 0.5, -0.5, 0.1 and -0.1; nothing meets on W_Q.
    for step, block, cosine in ((0, 0, 0.5), (0, 1, -0.5), (1, 0, 0.1), (1, 1, -0.1)):
        gram[step, block] = [[4.0, 2 * cosine], [2 * cosine, 1.0]]
    gram[:, 2, 0, 0] = 1.0
    found = GradientGeometry(
        ("pixels", "semantics"), places, gram, np.zeros_like(gram), np.arange(2)
    )
    assert absolute_cosines(found) == {"pixels, semantics": {"W_V semantic": 0.3}}
    mean = mean_cosine(found)
    assert mean.value == pytest.approx(0.0) and mean.details["absolute"] == absolute_cosines(found)


def test_energy_is_shared_out_among_the_kinds_of_a_block() -> None:
    places = (Place("W_Q", 0), Place("W_Q", 1), Place("W_K", 0), Place("W_K", 1))
    gram = np.zeros((1, 4, 1, 1))
    # Block 0: 3 of 4 on W_Q. Block 1: 1 of 4.
    gram[0, :, 0, 0] = [3.0, 1.0, 1.0, 3.0]
    found = GradientGeometry(("topology",), places, gram, np.zeros_like(gram), np.arange(1))
    assert energy_shares(found) == {"topology": {"W_Q": 0.5, "W_K": 0.5}}
    gram[0, :, 0, 0] = [3.0, 3.0, 1.0, 1.0]
    assert energy_shares(found) == {"topology": {"W_Q": 0.75, "W_K": 0.25}}
