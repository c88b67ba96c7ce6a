"""Recipes of the systems: as many images as the preset sees, in its batches, at its rates."""

from dataclasses import replace

import pytest

from muse_core.baselines.systems import RECIPES
from muse_core.config.presets import PRESETS, preset_named, tiny
from muse_core.config.stage import PIXEL_LOSSES, Curriculum, Loss
from muse_core.config.system_stages import SystemStage, system_curriculum


def images_of(curriculum: Curriculum) -> int:
    return sum(stage.steps * stage.batch_size for stage in curriculum)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("system", RECIPES)
def test_a_system_sees_as_many_images_as_the_preset_within_a_batch(system, preset) -> None:
    size = preset_named(preset)
    curriculum = system_curriculum(size, RECIPES[system])
    *_, last = size.curriculum
    wanted = images_of(size.curriculum)
    assert abs(images_of(curriculum) - wanted) <= last.batch_size
    for stage, recipe in zip(curriculum, RECIPES[system], strict=True):
        assert stage.batch_size == last.batch_size
        share = stage.steps * stage.batch_size / wanted
        assert abs(share - recipe.share) * wanted <= last.batch_size
        assert stage.checkpoint_every <= stage.steps


@pytest.mark.parametrize("system", RECIPES)
def test_shares_of_the_images_make_a_whole(system) -> None:
    assert sum(stage.share for stage in RECIPES[system]) == 1


@pytest.mark.parametrize("system", RECIPES)
def test_weights_are_the_presets_on_pixels_and_the_systems_own(system) -> None:
    *_, last = tiny().curriculum
    pixels = {name: weight for name, weight in last.weights.items() if name in PIXEL_LOSSES}
    assert pixels.keys() == PIXEL_LOSSES and last.weights.keys() > PIXEL_LOSSES
    for stage, recipe in zip(
        system_curriculum(tiny(), RECIPES[system]), RECIPES[system], strict=True
    ):
        assert stage.weights == pixels | recipe.own
        assert stage.shares == {Loss.PERCEPTUAL: 0.25, Loss.ADVERSARIAL: 0.25}
        assert stage.learning_rate == last.learning_rate
        assert (stage.ema_decay, stage.clip_norm) == (last.ema_decay, last.clip_norm)


def test_published_weights_and_rates() -> None:
    """As the repositories and papers of the systems give them."""
    assert RECIPES["va-vae"][0].own["vision_foundation"] == 0.1
    assert RECIPES["tokenflow"][0].own == {"codebook": 1, "semantic_decoder": 1}
    assert RECIPES["unitok"][0].own == {"codebook": 1, "anchor": 1}
    first, second = RECIPES["unilip"]
    assert (first.own, first.backbone_rate) == ({}, 0)
    assert (second.own, second.backbone_rate) == ({"distillation": 1}, 0.1)
    assert RECIPES["vtp"][0].own == {"anchor": 1, "dino": 1, "ibot": 1}
    assert (RECIPES["rae"][0].own, RECIPES["rae"][0].backbone_rate) == ({}, 0)


def test_backbone_rates_are_the_stages_own() -> None:
    first, second = system_curriculum(tiny(), RECIPES["unilip"])
    assert not first.trains_backbone and second.backbone_rate == 0.1
    (rae,) = system_curriculum(tiny(), RECIPES["rae"])
    assert not rae.trains_backbone, "the preset's last stage trains it, a frozen system does not"


def test_stages_follow_each_other() -> None:
    parts = SystemStage(share=0.2), SystemStage({"mine": 2.0}, share=0.3), SystemStage(share=0.5)
    stages = system_curriculum(tiny(), parts).stages
    assert [stage.name for stage in stages] == ["system_1", "system_2", "system_3"]
    assert [stage.starts_from for stage in stages] == [None, "system_1", "system_2"]
    assert "mine" in stages[1].weights and "mine" not in stages[2].weights


def test_another_learning_rate_is_of_every_stage() -> None:
    stages = system_curriculum(tiny(), RECIPES["unilip"], learning_rate=3e-5).stages
    assert [stage.learning_rate for stage in stages] == [3e-5, 3e-5]


def test_a_stage_of_few_images_has_a_step() -> None:
    preset = tiny()
    short = tuple(replace(stage, steps=1, batch_size=2) for stage in preset.curriculum)
    preset = replace(preset, curriculum=Curriculum((*short[:2], replace(short[2], batch_size=64))))
    (stage,) = system_curriculum(preset, (SystemStage(),))
    assert stage.steps == 1 == stage.checkpoint_every
