from dataclasses import replace

import pytest
import torch

from muse_core.config.preset import Preset
from muse_core.config.presets import tiny
from muse_core.errors import MuseError
from muse_core.foundations.topology_teacher import DinoV3Teacher
from muse_core.training import teachers
from muse_core.training.teachers import load_teachers, load_topology_teacher


@pytest.fixture
def preset(tmp_path) -> Preset:
    from ...integration.micro import TEACHER, micro_preset, write_preset

    DinoV3Teacher.from_config(TEACHER, (0,)).network.save_pretrained(tmp_path / "teacher")
    write_preset(tmp_path)
    return micro_preset(tmp_path)


def located(preset: Preset, **places) -> Preset:
    return replace(preset, foundations=replace(preset.foundations, **places))


def test_layers_are_spread_or_as_given(preset) -> None:
    assert load_topology_teacher(preset).layers == (0, 2, 3)  # 4 layers, 3 blocks
    assert load_topology_teacher(located(preset, teacher_layers=(3, 3, 1))).layers == (3, 3, 1)


def test_counts_that_do_not_fit_are_sentences(preset) -> None:
    with pytest.raises(MuseError, match="2 teacher layers cannot teach 3 student blocks"):
        load_topology_teacher(located(preset, teacher_layers=(0, 1)))
    with pytest.raises(MuseError, match="teacher's 4 heads do not divide into the student's 3"):
        load_topology_teacher(replace(preset, connector=replace(preset.connector, num_heads=3)))


def test_a_hub_id_of_the_text_tower_reaches_transformers_as_it_is(preset, monkeypatch) -> None:
    """Not as a path: "openai/clip-vit-large-patch14" is no folder."""
    asked = []

    class Asked(Exception):
        pass

    def remember(location):
        asked.append(location)
        raise Asked

    monkeypatch.setattr(teachers.TextTower, "from_pretrained", remember)
    with pytest.raises(Asked):
        load_teachers(
            located(preset, text_tower="openai/clip-vit-large-patch14"), torch.device("cpu")
        )
    assert asked == ["openai/clip-vit-large-patch14"] and isinstance(asked[0], str)


def test_any_timm_vit_can_teach_by_name(preset, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(
        teachers.TimmTeacher,
        "from_name",
        lambda name, *options: asked.append(name) or load_topology_teacher(preset),
    )
    load_topology_teacher(located(preset, teacher="timm:vit_small_patch16_dinov3"))
    assert asked == ["vit_small_patch16_dinov3"] and tiny().connector.num_blocks == 6


def test_tokens_of_a_backbone_that_was_not_loaded_are_a_sentence(preset) -> None:
    from muse_core.data.scenes import Scenes
    from muse_core.foundations.backbone import Backbone
    from muse_core.foundations.perceptual import TeacherFeatures
    from muse_core.training.teachers import Targets, Teachers

    from ...integration.micro import BACKBONE, small_text_tower

    topology, batch = load_topology_teacher(preset), Scenes("train", 32).first(2)
    alone = Teachers(topology, small_text_tower(), TeacherFeatures(topology))
    with pytest.raises(MuseError, match=r"the teachers hold no backbone: say supervised_by"):
        Targets(alone, batch).backbone_tokens  # noqa: B018
    backbone, asked = Backbone(BACKBONE).eval(), []
    backbone.register_forward_hook(lambda *_: asked.append(1))
    targets = Targets(replace(alone, backbone=backbone), batch)
    tokens = targets.backbone_tokens
    assert torch.equal(tokens, backbone(batch.images)) and not tokens.requires_grad
    assert torch.equal(targets.first(1).backbone_tokens, tokens[:1])
    assert len(asked) == 2, "once for the targets, once here"
