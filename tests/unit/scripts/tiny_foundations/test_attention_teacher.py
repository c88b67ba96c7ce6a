"""What the stand-in teacher is told: look at your object, from near to far, and around you on the
ground.
"""

import torch

from muse_core.data.scenes import Scenes
from muse_core.evaluation.attention.map_geometry import attention_entropy
from muse_core.evaluation.attention.object_alignment import object_mass, patch_instances
from muse_core.losses.topology import resize_attention
from scripts.tiny_foundations.attention_teacher import HEAD_REACH, object_attention, reaches

MASKS = Scenes("train").first(24).instance_masks


def test_reach_grows_with_layers_and_heads() -> None:
    found = reaches()
    assert (found.diff(dim=0) > 0).all() and (found.diff(dim=1) > 0).all()
    targets = object_attention(MASKS, 12, found).transpose(1, 2)
    assert torch.allclose(targets.sum(-1), torch.ones(()), atol=1e-5)
    entropies = attention_entropy(list(targets)).mean(-1)
    assert (entropies.diff(dim=0) > 0).all()


def test_an_object_keeps_its_attention_after_psi() -> None:
    targets = object_attention(MASKS, 12, reaches()[-1])
    seen = [resize_attention(each[:, None], (12, 12), (8, 8)) for each in targets]
    mass = object_mass(seen, patch_instances(MASKS, (8, 8)))
    assert len(mass) == len(HEAD_REACH) and mass.min() > 0.7
