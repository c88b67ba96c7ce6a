from dataclasses import replace

import pytest

from muse_core.config.presets import PRESETS, preset_named
from muse_core.config.stage import TRUNK_CLOSED, TRUNK_OPEN, Loss
from muse_core.errors import MuseError


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_whole_curriculum(name) -> None:
    preset = preset_named(name)
    assert preset.name == name
    first, second, third = preset.curriculum
    assert (first.starts_from, second.starts_from, third.starts_from) == (
        None,
        first.name,
        second.name,
    )
    assert (
        first.trunk_hears == second.trunk_hears == TRUNK_CLOSED and third.trunk_hears == TRUNK_OPEN
    )
    assert not first.trains_backbone and not second.trains_backbone and third.trains_backbone
    assert Loss.ANCHOR not in first.weights and Loss.ANCHOR in second.weights
    assert [Loss.ADVERSARIAL in stage.weights for stage in preset.curriculum] == [
        False,
        False,
        True,
    ]
    assert (
        preset.connector.num_blocks == 6
        and preset.connector.width % (4 * preset.connector.num_heads) == 0
    )
    layers = preset.foundations.teacher_layers
    assert layers is None or len(layers) == preset.connector.num_blocks


def test_smoke_is_tiny_with_fewer_steps_and_nothing_else() -> None:
    tiny, smoke = preset_named("tiny"), preset_named("smoke")
    sizes = ("held_out_images", "probe_images", "segmentation_steps", "generated_images")
    kept = {size: getattr(tiny, size) for size in sizes} | {
        "curriculum": tiny.curriculum,
        "generation": tiny.generation,
        "language": tiny.language,
        "drawing": tiny.drawing,
    }
    same = replace(smoke, name="tiny", **kept)
    assert same == tiny and all(getattr(smoke, size) < getattr(tiny, size) for size in sizes)
    for short, full in zip(smoke.curriculum, tiny.curriculum, strict=True):
        longer = replace(
            short,
            steps=full.steps,
            batch_size=full.batch_size,
            checkpoint_every=full.checkpoint_every,
        )
        assert longer == full and short.steps < full.steps
    changed = ("steps", "batch_size", "images", "checkpoint_every")
    longer = replace(smoke.generation, **{name: getattr(tiny.generation, name) for name in changed})
    assert longer == tiny.generation and smoke.generation.steps < tiny.generation.steps


def test_foundations_follow_the_workspace(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))
    (tmp_path / "data/foundations/tiny").mkdir(parents=True)
    assert preset_named("tiny").foundations.teacher == str(
        tmp_path.resolve() / "data/foundations/tiny/teacher"
    )


def test_an_unknown_preset_is_answered_with_the_known_ones() -> None:
    with pytest.raises(MuseError, match="Unknown preset 'tinny': choose one of smoke, tiny"):
        preset_named("tinny")
