"""A system by names: its stages, its parts, its folder."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch

from muse_core.baselines.systems import RECIPES, SYSTEMS
from muse_core.errors import MuseError
from muse_core.training.system_run import SystemRun
from muse_core.training.visual_tokenizer_task import VisualTokenizerTask

from ...integration.systems import bits, furnish, system_run
from ..baselines.own_system import NAME, OwnSystem


@pytest.fixture(scope="module")
def furnished() -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        furnish(Path(folder))
        yield Path(folder)


@pytest.fixture
def workspace(furnished, monkeypatch) -> Path:
    monkeypatch.setenv("MUSE_ROOT", str(furnished))
    monkeypatch.setenv("TORCH_HOME", str(furnished / "no-torch-home"))
    return furnished


def test_one_process_trains(workspace) -> None:
    with pytest.raises(MuseError, match="train in one process: leave processes at 1"):
        system_run("rae", "many", processes=2).open()


def test_an_unknown_preset_and_an_unknown_system_are_sentences(workspace) -> None:
    with pytest.raises(MuseError, match="tinny"):
        SystemRun(run="r", preset="tinny", system="rae").open()
    opened = system_run("rea", "r").open()
    with pytest.raises(MuseError, match="Unknown system 'rea': choose one of va-vae"):
        opened.kind  # noqa: B018


def test_stages_are_the_recipes_at_the_runs_rate(workspace) -> None:
    opened = system_run("unilip", "r", learning_rate=2e-4).open()
    assert [stage.name for stage in opened.curriculum] == ["system_1", "system_2"]
    assert {stage.learning_rate for stage in opened.curriculum} == {2e-4}
    assert opened.folder == workspace / "data" / "runs" / "r" / "system_2" / "tokenizer"
    of_preset = [*system_run("unilip", "r").open().curriculum]
    assert of_preset[0].learning_rate == opened.preset.curriculum.stages[-1].learning_rate


def test_a_users_system_has_its_own_weights(workspace) -> None:
    opened = system_run(NAME, "r").open()
    assert opened.kind is OwnSystem
    (stage,) = opened.curriculum
    assert stage.weights["size"] == 0.5 and stage.weights["reconstruction"] == 1


@pytest.mark.parametrize("system", SYSTEMS)
def test_teachers_hold_the_backbone_where_the_system_looks_at_it(workspace, system) -> None:
    opened = system_run(system, "r").open()
    backbone = opened.teachers.backbone
    assert (backbone is not None) == ("backbone" in SYSTEMS[system].supervised_by)
    distils = {"distillation", "semantic_decoder"}
    assert ("backbone" in SYSTEMS[system].supervised_by) == any(
        distils & one.own.keys() for one in RECIPES[system]
    )
    if backbone is not None:
        assert not backbone.training
        assert not any(weight.requires_grad for weight in backbone.parameters())


def test_a_new_system_is_random_by_the_runs_seed(workspace) -> None:
    new = lambda seed: bits(system_run("unitok", "r", seed=seed).open().new())
    first, again, other = new(0), new(0), new(1)
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not torch.equal(first["head.1.weight"], other["head.1.weight"])


def test_parts_are_of_the_preset_and_measured_on_training_images(workspace) -> None:
    parts = system_run("rae", "r").open().parts
    assert parts.images.shape == (128, 3, 32, 32)
    assert (parts.embedding_width, parts.teacher_width) == (16, 32)


def test_a_trainer_trains_the_system_as_its_task(workspace) -> None:
    opened = system_run("rae", "r", seed=3).open()
    (stage,) = opened.curriculum
    trainer = opened.trainer(stage)
    assert trainer.kind is VisualTokenizerTask and trainer.options.seed == 3
    assert trainer.files.folder == opened.files(stage).folder


def test_a_stage_whose_first_is_missing_is_a_sentence(workspace) -> None:
    opened = system_run("unilip", "nothing-trained").open()
    with pytest.raises(MuseError, match="system_1"):
        opened.trainer(opened.curriculum["system_2"])
