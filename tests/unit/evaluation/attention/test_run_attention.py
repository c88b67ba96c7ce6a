"""Whose attention a run shows: the same networks that were trained, on one grid, in heads that
compare.
"""

import pytest
import torch

from muse_core.config.presets import preset_named
from muse_core.data.scenes import Scenes
from muse_core.errors import MuseError
from muse_core.evaluation.attention import run_attention
from muse_core.evaluation.attention.run_attention import (
    TEACHER_RESIZED,
    UNTRAINED,
    RunAttention,
    load_run_attention,
    untrained_tokenizer,
)
from muse_core.evaluation.attention.student_teacher import student_attention, teacher_attention
from muse_core.foundations.backbone import Backbone
from muse_core.training.loop import starting_tokenizer
from muse_core.training.stage_run import StageRun
from muse_core.training.teachers import load_teachers, open_topology_teacher

PRESET = preset_named("smoke")


@pytest.fixture(scope="module")
def networks() -> RunAttention:
    where = PRESET.foundations
    teacher = open_topology_teacher(where.teacher, 6, where.teacher_layers).eval()
    student = untrained_tokenizer(PRESET, "a-run-that-does-not-exist").eval()
    backbone = Backbone.from_pretrained(where.backbone).eval()
    return RunAttention(teacher, {UNTRAINED: student}, None, backbone)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return Scenes("val").first(2).images


def test_the_untrained_student_is_the_one_that_training_begins_with(
    networks: RunAttention, images
) -> None:
    run = StageRun("another", "smoke", PRESET.curriculum.stages[0].name)
    began = starting_tokenizer(run, load_teachers(PRESET, "cpu"), Scenes("train")).eval()
    own = networks.student(UNTRAINED, images)
    for layer, maps in enumerate(student_attention(began, images)):
        torch.testing.assert_close(own.maps[:, layer], maps, rtol=1e-4, atol=1e-6)


def test_making_it_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    untrained_tokenizer(PRESET, "a-run-that-does-not-exist")
    assert torch.equal(before, torch.get_rng_state())


def test_everybody_is_probabilities_on_the_students_grid_but_the_teacher_s_own(
    networks: RunAttention, images
) -> None:
    views = networks.views(images)
    assert [view.grid for view in views] == [(8, 8), (12, 12), (8, 8), (8, 8)]
    assert [view.role for view in views] == ["teacher", "teacher", "student", "comparison"]
    for view in views:
        torch.testing.assert_close(
            view.maps.sum(-1), torch.ones(view.maps.shape[:-1]), rtol=1e-4, atol=1e-4
        )


def test_the_resized_teacher_is_what_the_loss_shows_the_student(
    networks: RunAttention, images
) -> None:
    view = networks.targets(images)
    assert view.name == TEACHER_RESIZED
    for layer, maps in enumerate(teacher_attention(networks.teacher, images, (8, 8), 4)):
        torch.testing.assert_close(view.maps[:, layer], maps)


def test_a_teacher_whose_heads_do_not_divide_is_shown_in_those_that_do(
    networks: RunAttention, images, monkeypatch
) -> None:
    monkeypatch.setattr(networks.teacher, "num_heads", 6)
    assert networks.heads == 2


def test_other_resolutions_have_other_grids(networks: RunAttention) -> None:
    views = networks.views(torch.rand(1, 3, 96, 96))
    assert [view.grid for view in views] == [(12, 12)] * 3, (
        "the teacher's own grid is the student's: shown once"
    )


def test_a_run_without_a_tokenizer_names_the_command(
    networks: RunAttention, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(
        run_attention, "tokenizer_folder", lambda run, stage: tmp_path / run / stage
    )
    with pytest.raises(
        MuseError,
        match="no tokenizer to look at: first train one with `muse run 01 02 03 --run mine",
    ):
        load_run_attention(PRESET, "mine", "mine-shared", networks.teacher, "cpu")
