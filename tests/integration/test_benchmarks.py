"""The benchmarks' instruments on known work, and both recipes of a step on networks small enough
for a test.
"""

from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator

from benchmarks.__main__ import step_against_release, step_memory, table
from benchmarks.full_size_step import autocast_for
from benchmarks.measuring import LiveBytes, Ratio, counted_flops, ratio_in_turns
from benchmarks.release_recipe import ReleaseStep
from benchmarks.sizes import Size, random_trainer, reduced, scenes
from benchmarks.throughput import encode_and_decode, stages
from benchmarks.topology_loss import loss_cost


@pytest.fixture(scope="module")
def micro() -> Size:
    """The reduced size, reduced further."""
    size = reduced()
    vit = dict(hidden_size=32, num_hidden_layers=6, intermediate_size=64, num_attention_heads=2)
    narrow = (8, 8, 8, 16, 16, 16)
    decoder = dict(
        encoder_block_out_channels=narrow,
        decoder_block_out_channels=narrow,
        attention_head_dim=8,
        latent_channels=4,
    )
    connector = replace(size.preset.connector, width=16, num_heads=2)
    preset = replace(size.preset, image_size=56, connector=connector)
    whole = replace(
        size,
        preset=preset,
        backbone=size.backbone | vit,
        teacher=size.teacher | vit,
        autoencoder=size.autoencoder | decoder,
    )
    return whole.at(56)


def test_live_bytes_counts_each_storage_while_it_lives() -> None:
    with LiveBytes() as found:
        first = torch.zeros(1000)
        view = first.view(10, 100)
        second = view + 1
        del first, view
        third = second + 1
    assert found.peak == 8000 and third.numel() == 1000


def test_flops_are_counted_two_a_multiply_add() -> None:
    a, b = torch.rand(3, 5), torch.rand(5, 7)
    assert counted_flops(lambda: a @ b) == 2 * 3 * 5 * 7


def test_a_ratio_in_turns_tells_more_work_from_less() -> None:
    a = torch.rand(200, 200)
    found = ratio_in_turns(lambda: [a @ a for _ in range(10)], lambda: a @ a, rounds=5)
    assert found.median > 2 and found.lowest <= found.median <= found.highest
    assert found.inverse.median == pytest.approx(1 / found.median)


def test_the_loss_costs_less_memory_in_blocks() -> None:
    assert loss_cost(16, 16, rounds=1).memory >= 2


@pytest.mark.slow
def test_both_recipes_train_the_same_sizes(micro: Size) -> None:
    accelerator = Accelerator(cpu=True)
    found = step_against_release(micro, "02", 2, accelerator, rounds=1)
    assert isinstance(found, Ratio) and found.median > 0
    assert min(step_memory(micro, "02", 2, accelerator).values()) > 0


@pytest.mark.slow
def test_the_release_recipe_trains_attention_in_its_last_block_alone(micro: Size) -> None:
    """The fact the comparison stands on: topology reaches W_Q of block 6, and of no other."""
    step = ReleaseStep(random_trainer(micro, "01", Accelerator(cpu=True), routing="release"))
    step.update(scenes(micro, 2, "cpu"))
    moved = [
        block.query.weight.grad is not None for block in step.trainer.tokenizer.connector.blocks
    ]
    assert moved == [False] * 5 + [True]


@pytest.mark.long
def test_throughput_fills_a_table(micro: Size) -> None:
    accelerator = Accelerator(cpu=True)
    rows = [
        *encode_and_decode(micro, 2, accelerator, 1e9, 1),
        *stages(micro, 2, accelerator, 1e9, 1),
    ]
    assert [row.work for row in rows] == [
        "encode",
        "decode",
        *(f"step of stage {n}" for n in (1, 2, 3)),
    ]
    assert all(row.flops > 0 and row.seconds > 0 and row.gigabytes > 0 for row in rows)
    assert table(rows).count("\n") == len(rows) + 1


@pytest.mark.parametrize("native", [True, False])
def test_bfloat16_is_used_where_the_hardware_has_it_and_never_imitated(monkeypatch, native) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native)
    assert (
        autocast_for("cuda", "auto") == ("bf16" if native else "no")
        and autocast_for("cuda", "fp32") == "no"
    )
    if native:
        assert autocast_for("cuda", "bf16") == "bf16"
    else:
        with pytest.raises(
            SystemExit, match=r"cuda has no bf16 arithmetic .*: use --precision fp32"
        ):
            autocast_for("cuda", "bf16")
