import pytest

from muse_core.config.stage import (
    PIXEL_LOSSES,
    SEMANTIC_LOSSES,
    TRUNK_CLOSED,
    TRUNK_OPEN,
    Curriculum,
    Loss,
    Stage,
    by_loss,
)
from muse_core.errors import MuseError


def stage(name: str, **options) -> Stage:
    return Stage(
        name=name,
        weights=by_loss(topology=1.0),
        learning_rate=1e-3,
        steps=10,
        batch_size=2,
        trunk_hears=TRUNK_CLOSED,
        **options,
    )


def test_a_stage_is_found_by_name_and_a_wrong_one_is_answered_with_the_names() -> None:
    curriculum = Curriculum((stage("one"), stage("two")))
    assert curriculum["two"].name == "two" and [each.name for each in curriculum] == ["one", "two"]
    with pytest.raises(MuseError, match="Unknown stage 'three': choose one of one, two"):
        curriculum["three"]


def test_weights_are_losses_by_name_and_cannot_be_changed() -> None:
    given = by_loss(topology=1.0, anchor=0.5)
    assert dict(given) == {Loss.TOPOLOGY: 1.0, Loss.ANCHOR: 0.5}
    with pytest.raises(TypeError):
        given[Loss.ANCHOR] = 2.0
    with pytest.raises(ValueError, match="topologie"):
        by_loss(topologie=1.0)


def test_a_rate_for_the_backbone_is_what_trains_it() -> None:
    assert not stage("frozen").trains_backbone and stage("tuned", backbone_rate=0.1).trains_backbone


def test_the_closed_trunk_hears_pixels_and_the_open_one_everything() -> None:
    assert TRUNK_CLOSED == PIXEL_LOSSES and set(Loss) == TRUNK_OPEN
    assert set(Loss) - PIXEL_LOSSES == {Loss.TOPOLOGY} | SEMANTIC_LOSSES
