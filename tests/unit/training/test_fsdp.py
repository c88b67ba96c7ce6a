"""Who is heard when shards are asked for, what they are made of, and what is refused."""

import os
from unittest.mock import Mock

import pytest
import torch
from accelerate import Accelerator
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, Shard, distribute_tensor

from muse_core.errors import MuseError
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.training.fsdp import (
    REFUSED,
    REQUEST,
    TAKEN,
    VERSION,
    Shards,
    average_copies,
    part_of,
    refuse,
    safe_to_fail,
    take_request,
    total_norm,
    units,
    wanted,
    whole,
)

from ..models.small_models import small_tokenizer

ONE, TWO = (
    Mock(Accelerator, num_processes=processes, device=torch.device("cpu")) for processes in (1, 2)
)


@pytest.fixture
def asked(monkeypatch) -> pytest.MonkeyPatch:
    """As `accelerate launch` asks, and as Accelerate and transformers no longer see it."""
    for variable in (TAKEN, *REFUSED):
        monkeypatch.setenv(variable, "false")
    monkeypatch.setenv(REQUEST, "true")
    monkeypatch.setenv(VERSION, "2")
    take_request()
    return monkeypatch


def test_nobody_asks_by_default(monkeypatch) -> None:
    monkeypatch.delenv(REQUEST, raising=False)
    monkeypatch.delenv(TAKEN, raising=False)
    take_request()
    assert not wanted(TWO)
    refuse(TWO, "Anything")


def test_a_request_is_taken_once_and_needs_processes_to_share(asked) -> None:
    assert REQUEST not in os.environ and wanted(TWO) and not wanted(ONE)
    take_request()
    assert wanted(TWO)
    refuse(ONE, "Anything")
    with pytest.raises(
        MuseError, match=r"Anything needs whole weights in every process: leave out FSDP"
    ):
        refuse(TWO, "Anything")


@pytest.mark.parametrize("version", ["1", None])
def test_the_first_version_is_a_sentence(asked, version) -> None:
    asked.setenv(VERSION, version) if version else asked.delenv(VERSION)
    with pytest.raises(
        MuseError,
        match="Only version 2 of FSDP is built in: say fsdp_version: 2 in fsdp_config, or FSDP",
    ):
        wanted(TWO)


@pytest.mark.parametrize(("variable", "name"), REFUSED.items())
def test_what_is_not_built_in_is_not_ignored(asked, variable, name) -> None:
    asked.setenv(variable, "true")
    with pytest.raises(
        MuseError, match=rf"{name} is not built in: leave it out of fsdp_config \({variable}\)"
    ):
        wanted(TWO)


def test_an_older_torch_is_a_sentence(asked) -> None:
    asked.delattr(FSDPModule, "reset_iter_state")
    with pytest.raises(
        MuseError, match=r"cannot shard so that a failed step is safe: install torch"
    ):
        wanted(TWO)


def test_units_are_the_blocks_of_all_parts_but_of_a_backbone_that_runs_twice() -> None:
    tokenizer = small_tokenizer()
    names = {id(module): name for name, module in tokenizer.named_modules()}
    found = [names[id(unit)] for unit in units(tokenizer)]
    assert {
        "backbone.network.encoder.layer.0",
        "connector.blocks.5",
        "decoder.network.up_blocks.0",
    } <= set(found)
    split = small_tokenizer(routing="trunk-routed")
    assert len(units(split)) == len(found) - len(split.backbone.network.encoder.layer)


@pytest.fixture
def shards():
    """Cut among one process: every part is whole, everything else is as among many."""
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield Shards.of(small_tokenizer().eval(), ONE)
    distributed.destroy_process_group()


def test_a_tokenizer_in_shards_computes_the_same_and_comes_back_whole(shards) -> None:
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        expected = small_tokenizer().eval()(images)
        assert torch.equal(shards.tokenizer(images).reconstruction, expected.reconstruction)
        doubled = {"connector.queries": shards.tokenizer.state_dict()["connector.queries"] * 2}
        plain, other = shards.whole({}), shards.whole(doubled)
        assert type(plain) is MuseTokenizer and torch.equal(
            plain(images).reconstruction, expected.reconstruction
        )
    assert torch.equal(other.connector.queries, plain.connector.queries * 2)
    assert next(shards.whole({}, kept=False).parameters()).is_meta


def test_a_step_that_fails_between_forward_and_backward_leaves_parts(shards) -> None:
    names = [
        name
        for name, weight in shards.tokenizer.named_parameters()
        if hasattr(weight, "placements")
    ]
    with pytest.raises(FloatingPointError), safe_to_fail(shards.tokenizer):
        shards.tokenizer(torch.rand(2, 3, 32, 32))
        raise FloatingPointError
    assert names == [
        name
        for name, weight in shards.tokenizer.named_parameters()
        if hasattr(weight, "placements")
    ]
    assert {name for name, _ in shards.tokenizer.named_parameters()} - set(names) == {
        "semantic_head.log_scale"
    }


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
