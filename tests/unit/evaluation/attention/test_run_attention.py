"""Whose attention a run shows: the same networks that were trained, on one grid, in heads that
compare.
"""

import pytest
import torch
from diffusers.configuration_utils import FrozenDict

from muse_core.config.presets import preset_named
from muse_core.data.scenes import Scenes
from muse_core.errors import MuseError
from muse_core.evaluation.attention.run_attention import (
    TEACHER_RESIZED,
    UNTRAINED,
    AttentionNetwork,
    backbone_network,
    run_attention,
    student_network,
    teacher_networks,
    untrained_tokenizer,
)
from muse_core.evaluation.attention.student_teacher import student_attention, teacher_attention
from muse_core.foundations.backbone import Backbone
from muse_core.foundations.topology_teacher import TopologyTeacher
from muse_core.training.stage_run import StageRun
from muse_core.training.teachers import open_topology_teacher

PRESET = preset_named("smoke")


@pytest.fixture(scope="module")
def teacher() -> TopologyTeacher:
    where = PRESET.foundations
    return open_topology_teacher(where.teacher, 6, where.teacher_layers).eval()


@pytest.fixture(scope="module")
def student():
    return untrained_tokenizer(PRESET, "a-run-that-does-not-exist").eval()


def networks(teacher, student, size: int = 64) -> list[AttentionNetwork]:
    backbone = Backbone.from_pretrained(PRESET.foundations.backbone).eval()
    own = [student_network(UNTRAINED, student), backbone_network(backbone, student)]
    return [*teacher_networks(teacher, student, size), *own]


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return Scenes("val").first(2).images


def test_the_untrained_student_is_the_one_that_training_begins_with(student, images) -> None:
    stage = PRESET.curriculum.stages[0].name
    began = StageRun(run="another", preset="smoke", stage=stage, device="cpu").open().tokenizer()
    own = student_network(UNTRAINED, student).view(images)
    for layer, maps in enumerate(student_attention(began, images)):
        torch.testing.assert_close(own.maps[:, layer], maps, rtol=1e-4, atol=1e-6)


def test_making_it_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    untrained_tokenizer(PRESET, "a-run-that-does-not-exist")
    assert torch.equal(before, torch.get_rng_state())


def test_everybody_is_probabilities_on_the_students_grid_but_the_teacher_s_own(
    teacher, student, images
) -> None:
    views = [network.view(images) for network in networks(teacher, student)]
    assert [view.grid for view in views] == [(8, 8), (12, 12), (8, 8), (8, 8)]
    assert [view.role for view in views] == ["teacher", "teacher", "student", "comparison"]
    for view in views:
        sums = view.maps.sum(-1)
        torch.testing.assert_close(sums, torch.ones_like(sums), rtol=1e-4, atol=1e-4)


def test_the_resized_teacher_is_what_the_loss_shows_the_student(teacher, student, images) -> None:
    view = teacher_networks(teacher, student, 64)[0].view(images)
    assert view.name == TEACHER_RESIZED
    for layer, maps in enumerate(teacher_attention(teacher, images, (8, 8), 4)):
        torch.testing.assert_close(view.maps[:, layer], maps)


def test_a_teacher_whose_heads_do_not_divide_is_shown_in_those_that_do(
    teacher, student, images, monkeypatch
) -> None:
    six = FrozenDict({**student.config, "num_heads": 6})
    monkeypatch.setattr(student, "_internal_dict", six)
    resized = teacher_networks(teacher, student, 64)[0].view(images)
    assert resized.maps.shape[2] == 2


def test_at_a_resolution_where_both_grids_are_one_the_teacher_is_shown_once(
    teacher, student
) -> None:
    views = [network.view(torch.rand(1, 3, 96, 96)) for network in networks(teacher, student, 96)]
    assert [view.grid for view in views] == [(12, 12)] * 3


def test_a_run_without_a_tokenizer_names_the_command(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))
    words = "no tokenizer yet: first train one with `muse run 01 02 03 --run mine"
    with pytest.raises(MuseError, match=words):
        run_attention(PRESET, "mine", "mine-shared", "cpu", 64)


def test_a_resolution_that_is_no_number_of_tokens_names_two_that_are(
    student, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))
    stage = PRESET.curriculum.stages[0].name
    student.save_pretrained(tmp_path / "data" / "runs" / "mine" / stage / "tokenizer")
    with pytest.raises(MuseError, match="use 96 or 104"):
        run_attention(PRESET, "mine", "mine-shared", "cpu", 100)
