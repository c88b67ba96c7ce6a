"""The benchmarks' instruments on known work, and both recipes of a step on networks small enough
for a test.
"""

import json
from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator

from benchmarks import gpu_checks, history
from benchmarks.__main__ import step_against_release, step_memory, table
from benchmarks.against_commit import StepServer, code_of, in_turns
from benchmarks.autoencoders import FAMILIES, count, fitted
from benchmarks.beside_neighbours import fair_share
from benchmarks.cost_model import checks, costs, meta_tokenizer
from benchmarks.full_size_step import autocast_for
from benchmarks.measuring import LiveBytes, Ratio, counted_flops, ratio_in_turns
from benchmarks.published import BACKBONES
from benchmarks.release_recipe import ReleaseStep, plain_eager
from benchmarks.sizes import Size, published, random_trainer, reduced, scenes, tiny_size
from benchmarks.throughput import encode_and_decode, stages
from benchmarks.topology_loss import loss_cost
from benchmarks.training_step import outside_the_update
from muse_core import paths
from muse_core.training.loss_terms import forward_step


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


@pytest.mark.slow
def test_plain_eager_trains_the_same_and_forms_every_map(micro: Size) -> None:
    task, batch = random_trainer(micro, "02", Accelerator(cpu=True)), scenes(micro, 2, "cpu")
    network = task.model, task.tokenizer, task.discriminator, task.teachers
    fused = forward_step(*network, batch, task.stage, task.losses)[0].as_floats()
    with plain_eager(task):
        plain = forward_step(*network, batch, task.stage, task.losses)[0].as_floats()
    assert plain == pytest.approx(fused, rel=1e-3)


@pytest.mark.parametrize("size", [tiny_size(), *map(published, BACKBONES)])
def test_the_arithmetic_of_each_part_is_what_torch_counts(size: Size) -> None:
    assert checks(size) == pytest.approx(dict.fromkeys(checks(size), 1.0), abs=0.01)


def test_costs_follow_the_stage() -> None:
    first, second, third = costs(tiny_size())
    assert first.trained < second.trained < third.trained
    assert third.flops["backbone"] == 3 * second.flops["backbone"]
    share = first.stage.shares["perceptual"]
    assert first.flops["perceptual network"] == pytest.approx(2 * share * first.flops["teacher"])
    assert third.exchanged(8) == 2 * 7 / 8 * 4 * third.trained
    assert third.seconds(1) == pytest.approx(
        third.stage.steps * third.stage.batch_size * third.flops_an_image / (0.4 * 989e12)
    )


def test_a_fair_share_is_what_every_thread_gets() -> None:
    assert fair_share(0, 2, 2) == 1.0
    assert fair_share(1, 2, 2) == pytest.approx(2 / 3)
    assert fair_share(2, 2, 2) == 0.5
    assert fair_share(1, 2, 16) == 1.0


def test_each_family_of_autoencoders_has_a_width_near_ours() -> None:
    size = reduced()
    ours = count(meta_tokenizer(size))
    for make in FAMILIES.values():
        with torch.device("meta"):
            assert 0.8 < count(fitted(make, size, ours)) / ours < 1.25


def test_a_commit_that_is_not_there_is_said() -> None:
    with pytest.raises(LookupError, match="not in this copy"), code_of("0000000"):
        pass


@pytest.mark.long
def test_two_servers_of_steps_answer_in_turns(tmp_path) -> None:
    sides = [StepServer(paths.checkout(), tmp_path / name, "01", 1) for name in ("new", "old")]
    try:
        ratio = in_turns(*sides, "seen", 1)
        assert ratio.median > 0
        # Of the servers, and not of this process, which starts them and is larger.
        rooms = [side.ask("memory") for side in sides]
        assert all(1e8 < room < 3e9 for room in rooms) and rooms[0] != rooms[1]
        assert (tmp_path / "new/data/teacher_views").is_dir()
    finally:
        for side in sides:
            side.stop()


@pytest.mark.slow
def test_the_loop_around_the_update_is_timed_and_leaves_nothing(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))
    found = outside_the_update("tiny", steps=3)
    assert 0 < found["share"] < 0.5 and found["before"] > 0
    assert not list((tmp_path / "data/runs").glob("*")) + list((tmp_path / "reports").glob("*"))


def test_ratios_are_kept_from_run_to_run_and_drawn(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))
    ratio = {"value": 2.0, "low": 1.9, "high": 2.2, "sides": [2.0, 1.0]}
    for commit in ("aaaaaaaaaa", "bbbbbbbbbb"):
        provenance = {"commit": commit, "date": "2026-11-29T10:00:00+00:00", "device": "cpu"}
        found = {"provenance": provenance, "size": "reduced", "threads": 2, "rounds": 3}
        history.append(found | {next(iter(history.SHOWN)): ratio})
    first, second = map(json.loads, history.file().read_text().splitlines())
    assert first["ratios"] == second["ratios"] and second["commit"] == "bbbbbbbbbb"
    assert list(first["ratios"].values()) == [{"value": 2.0, "low": 1.9, "high": 2.2}]
    assert history.draw().read_bytes().startswith(b"\x89PNG")


@pytest.mark.long
def test_the_checks_of_a_gpu_run_on_a_cpu(micro: Size) -> None:
    flash, *rows = gpu_checks.checks(micro, "cpu", [2, 3], 1e9, 1)
    assert "maps are allowed on a CPU" in flash
    assert [(row.work, row.batch_size) for row in rows] == [
        ("stage 1", 2),
        ("stage 1", 3),
        ("stage 3", 2),
        ("stage 3", 3),
    ]
    assert "% of the rate" in gpu_checks.in_words(rows[0])
