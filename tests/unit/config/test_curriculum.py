"""Changes to the paper's curriculum: each moves what it names and nothing else."""

from dataclasses import replace

import pytest

from muse_core.config.curriculum import Changes, changed, shortened
from muse_core.config.presets import tiny
from muse_core.config.stage import SEMANTIC_LOSSES, Loss, Surgery
from muse_core.errors import MuseError

CURRICULUM = tiny().curriculum


def weights(**changes: str) -> list[dict[Loss, float]]:
    return [dict(stage.weights) for stage in changed(CURRICULUM, Changes(**changes))]


def test_no_change_changes_nothing() -> None:
    assert changed(CURRICULUM, Changes()) == CURRICULUM == shortened(CURRICULUM, 1.0)


@pytest.mark.parametrize("loss", [Loss.TOPOLOGY, Loss.ANCHOR, Loss.PERCEPTUAL, Loss.ADVERSARIAL])
def test_a_loss_is_left_out_everywhere_and_all_others_stay(loss: Loss) -> None:
    for before, after in zip(weights(), weights(without=str(loss)), strict=True):
        assert after == {name: weight for name, weight in before.items() if name is not loss}


def test_distillation_stands_where_the_contrast_stood_with_its_weight() -> None:
    for before, after in zip(weights(), weights(anchoring="distillation"), strict=True):
        assert after.get(Loss.DISTILLATION) == before.get(Loss.ANCHOR) and Loss.ANCHOR not in after
    assert not any(
        SEMANTIC_LOSSES & set(each) for each in weights(anchoring="distillation", without="anchor")
    )


def test_reversed_hears_semantics_first_and_topology_from_the_second_stage_on() -> None:
    first, *rest = weights(order="reversed")
    paper_first, *paper_rest = weights()
    assert Loss.TOPOLOGY not in first and first[Loss.ANCHOR] == paper_rest[0][Loss.ANCHOR]
    assert rest == paper_rest and first[Loss.RECONSTRUCTION] == paper_first[Loss.RECONSTRUCTION]


def test_joint_is_the_last_stage_alone_for_as_many_images() -> None:
    (joint,) = changed(CURRICULUM, Changes(order="joint"))
    *_, last = CURRICULUM
    assert (
        replace(joint, steps=last.steps, starts_from=last.starts_from) == last
        and joint.starts_from is None
    )
    seen = sum(stage.steps * stage.batch_size for stage in CURRICULUM)
    assert joint.steps * joint.batch_size == pytest.approx(seen, abs=joint.batch_size)


def test_surgery_is_a_field_of_every_stage() -> None:
    assert {stage.surgery for stage in changed(CURRICULUM, Changes(surgery="pcgrad"))} == {
        Surgery.PCGRAD
    }


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"order": "backwards"}, "Unknown order 'backwards': choose one of paper, reversed, joint"),
        ({"without": "pixels"}, "Unknown without 'pixels'"),
        ({"anchoring": "none"}, "Unknown anchoring 'none'"),
        ({"surgery": "gradvac"}, "Unknown surgery 'gradvac'"),
    ],
)
def test_a_word_that_stands_for_no_change_is_a_sentence(changes: dict[str, str], says: str) -> None:
    with pytest.raises(MuseError, match=says):
        changed(CURRICULUM, Changes(**changes))


def test_a_stage_without_a_loss_is_refused() -> None:
    from types import MappingProxyType

    from muse_core.config.stage import Curriculum

    only = Curriculum(
        (replace(CURRICULUM.stages[0], weights=MappingProxyType({Loss.TOPOLOGY: 1.0})),)
    )
    with pytest.raises(MuseError, match="Without topology, 01_topology_warmup has no loss left"):
        changed(only, Changes(without="topology"))


@pytest.mark.parametrize(("share", "steps"), [(0.25, [100, 75, 110]), (1e-9, [1, 1, 1])])
def test_a_share_of_the_steps_one_at_least_and_a_checkpoint_no_later_than_the_end(
    share: float, steps: list[int]
) -> None:
    found = shortened(CURRICULUM, share)
    assert [stage.steps for stage in found] == steps
    assert all(stage.checkpoint_every <= stage.steps for stage in found)


@pytest.mark.parametrize("share", [0.0, -0.5, 1.5])
def test_a_share_outside_its_range_is_a_sentence(share: float) -> None:
    with pytest.raises(MuseError, match="share"):
        shortened(CURRICULUM, share)
