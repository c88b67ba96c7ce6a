"""Who is heard when shards are asked for, what they are made of, and what is refused."""

import os
from unittest.mock import Mock

import pytest
import torch
from accelerate import Accelerator
from torch import distributed
from torch.distributed.fsdp import FSDPModule

from muse_core.errors import MuseError
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.training.fsdp import (
    REFUSED,
    REQUEST,
    TAKEN,
    VERSION,
    Shards,
    refuse,
    safe_to_fail,
    take_request,
    units,
    wanted,
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


def test_units_are_the_blocks_of_all_three_parts_but_not_of_a_backbone_that_runs_in_two_versions() -> (
    None
):
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
