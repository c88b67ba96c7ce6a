"""A teacher that looks everywhere alike, or only near by, is flagged; one that looks at objects is
not.
"""

from dataclasses import replace

import pytest
import torch
from torch import nn

from muse_core import paths
from muse_core.attention import QueryKeys
from muse_core.data.batch import Source
from muse_core.data.scenes import Scenes
from muse_core.evaluation.attention.object_alignment import nearness, patch_instances
from muse_core.evaluation.attention.teacher_health import (
    MARGIN,
    UNIFORM,
    TeacherHealth,
    teacher_health,
)
from muse_core.foundations.topology_teacher import DinoV3Teacher, TopologyTeacher

from ..small_evaluations import Changed, small_teacher, without

GRID = (8, 8)


class Looking(TopologyTeacher):
    """A teacher of 64 px images whose layers look as they are told, (images, 1, 64, 64) each."""

    image_size, patch_size, num_prefix_tokens = 64, 8, 0

    def __init__(self, *maps: torch.Tensor, layers: tuple[int, ...] = ()) -> None:
        super().__init__(layers or tuple(range(len(maps))))
        self.maps, self.weight = list(maps), nn.Parameter(torch.zeros(1))

    def query_keys_and_tokens(self, pixels):
        """Logits that are the logarithms of the maps: log(map) as queries, one unit
        vector a key.
        """
        layers = [
            QueryKeys(maps.clamp_min(1e-38).log(), torch.eye(64).expand_as(maps), 1.0)
            for maps in self.maps
        ]
        return layers, self.tokens(pixels)

    def attention_of(self, layer):
        raise AssertionError("its layers are told")

    def tokens(self, pixels):
        return torch.zeros(len(pixels), 64, 4)


def scenes() -> Source:
    return Scenes("test", 64)


def uniform(n: int = 32) -> torch.Tensor:
    return torch.full((n, 1, 64, 64), 1 / 64)


def near(n: int = 32) -> torch.Tensor:
    return nearness(GRID).expand(n, -1, -1, -1)


def at_objects(n: int = 32) -> torch.Tensor:
    """Each patch looks at its own object, and a little everywhere."""
    instances = patch_instances(scenes().first(n).instance_masks, GRID)
    same = (instances[:, :, None] == instances[:, None]).float() + 0.05
    return (same / same.sum(-1, keepdim=True))[:, None]


def test_looking_everywhere_alike_is_flagged() -> None:
    health = teacher_health(Looking(uniform()), scenes())
    assert not health.healthy and health.entropy == {0: pytest.approx(1)} and health.auc == {0: 0.5}
    assert "nearly uniform" in health.complaints[0] and "entropy 100.0% of its maximum" in str(
        health
    )
    assert str(health).startswith("WARNING: ") and "choose another teacher" in str(health)


def test_looking_near_by_alone_is_flagged() -> None:
    health = teacher_health(Looking(near()), scenes())
    assert health.auc[0] == pytest.approx(health.nearness, abs=1e-3) and health.entropy[0] < UNIFORM
    assert len(health.complaints) == 1 and "no better than mere nearness" in str(health)


def test_looking_at_objects_is_not() -> None:
    health = teacher_health(Looking(at_objects()), scenes())
    assert health.healthy and not health.complaints
    assert health.auc[0] == pytest.approx(1) and 0.5 < health.nearness < 1 - MARGIN
    assert str(health).startswith(
        "The teacher's attention finds objects: same-object AUC up to 1.00"
    )


def test_one_good_layer_is_enough_and_each_is_named_by_its_number() -> None:
    health = teacher_health(Looking(uniform(), at_objects(), near(), layers=(3, 7, 11)), scenes())
    assert health.healthy and list(health.auc) == list(health.entropy) == [3, 7, 11]
    assert health.auc[7] > health.auc[11] > health.auc[3]


def test_entropy_is_a_share_of_its_maximum() -> None:
    """Half of the patches alike: log 32 / log 64. One patch alone: 0."""
    half = torch.zeros(32, 1, 64, 64)
    half[..., :32] = 1 / 32
    health = teacher_health(Looking(half, torch.eye(64).expand(32, 1, 64, 64)), scenes())
    assert list(health.entropy.values()) == pytest.approx([5 / 6, 0])


@pytest.mark.parametrize("maps", [(uniform, False), (near, True)], ids=["uniform", "near"])
def test_without_instance_masks_only_uniformity_can_be_told(maps) -> None:
    class Unmasked(Changed):
        def __init__(self) -> None:
            super().__init__(without("instance_masks"))
            self.image_size = 64

    make, healthy = maps
    health = teacher_health(Looking(make()), Unmasked())
    assert health.auc is None and health.nearness is None and health.healthy == healthy
    assert ("no instance masks to hold it against" in str(health)) == healthy
    assert ("nearly uniform" in str(health)) != healthy


def test_images_that_are_all_object_tell_no_more_than_images_without_masks() -> None:
    filled = Changed(
        lambda batch: replace(batch, instance_masks=torch.ones_like(batch.instance_masks))
    )
    health = teacher_health(small_teacher((0,)), filled)
    assert health.auc is None and health.nearness is None and "nan" not in str(health)


def test_a_split_smaller_than_asked_is_taken_whole() -> None:
    assert teacher_health(small_teacher((0,)), Changed(length=5)).n == 5


def test_the_embedded_teacher_is_healthy_and_its_random_weights_are_not() -> None:
    teacher = DinoV3Teacher.from_pretrained(paths.foundations("tiny") / "teacher")
    assert teacher_health(teacher, scenes(), 12).healthy
    for weight in teacher.parameters():
        nn.init.normal_(weight, std=0.02)
    assert not teacher_health(teacher, scenes(), 12).healthy


def test_words_round_to_what_a_reader_needs() -> None:
    health = TeacherHealth(
        4, entropy={1: 0.5, 2: 0.81}, auc={1: 0.6, 2: 0.934}, nearness=0.78, mass={1: 0.3, 2: 0.718}
    )
    assert str(health) == (
        "The teacher's attention finds objects: same-object AUC up to 0.93, where mere nearness "
        "of patches gives 0.78 "
        "(entropy 50% of its maximum in the most focused layer). On the student's grid up to 72% "
        "of an object's attention stays on it."
    )
