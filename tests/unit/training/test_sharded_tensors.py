"""Parts in a group of one process, where a part is the whole: the same numbers. Real ones:
tests/integration/test_sharding.py.
"""

from unittest.mock import Mock

import pytest
import torch
from accelerate import Accelerator
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Shard, distribute_tensor

from muse_core.training.sharded_tensors import average_copies, part_of, total_norm, whole


@pytest.fixture
def cut():
    """A whole tensor -> its part."""
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    mesh = init_device_mesh("cpu", (1,))
    yield lambda tensor: distribute_tensor(tensor, mesh, [Shard(0)])
    distributed.destroy_process_group()


def test_whole_tensors_pass_as_copies() -> None:
    weight, norm = torch.randn(3, 2), nn.utils.get_total_norm
    assert (
        torch.equal(whole({"w": weight})["w"], weight) and whole({"w": weight})["w"] is not weight
    )
    assert torch.equal(part_of(weight, weight), weight) and part_of(weight, weight) is not weight
    assert total_norm([weight, -weight]) == norm([weight, -weight]) and total_norm([]) == 0
    assert whole({"w": weight}, kept=False) == {}


def test_parts_are_gathered_and_cut(cut) -> None:
    weight = torch.randn(3, 2)
    part = cut(weight)
    gathered = whole({"part": part, "copy": weight})
    assert all(
        type(each) is torch.Tensor and torch.equal(each, weight) for each in gathered.values()
    )
    again = part_of(weight, part)
    assert isinstance(again, DTensor) and again.placements == part.placements
    assert (
        torch.equal(again.to_local(), weight) and again.to_local().data_ptr() != weight.data_ptr()
    )


def test_the_norm_is_that_of_all_parts_and_copies(cut) -> None:
    first, second, scalar = torch.randn(3, 2), torch.randn(5), torch.tensor(2.0)
    expected = nn.utils.get_total_norm([first, second, scalar])
    torch.testing.assert_close(total_norm([cut(first), cut(second), scalar]), expected)
    torch.testing.assert_close(total_norm([cut(first)]), first.norm())
    assert total_norm([cut(first * torch.nan), scalar]).isnan()


def test_gradients_of_copies_are_averaged_and_those_of_parts_left(cut) -> None:
    accelerator = Mock(Accelerator)
    accelerator.reduce = lambda tensor, kind: {"mean": tensor / 2}[kind]
    part, copy, unreached = (
        nn.Parameter(each) for each in (cut(torch.ones(2)), torch.ones(()), torch.ones(()))
    )
    part.grad, copy.grad = cut(torch.ones(2)), torch.ones(())
    average_copies([part, copy, unreached], accelerator)
    assert part.grad.to_local().tolist() == [1, 1] and copy.grad == 0.5 and unreached.grad is None
