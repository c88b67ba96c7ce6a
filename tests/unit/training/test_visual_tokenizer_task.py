"""One update of any system: what moves, what does not, and the adaptive weight by hand."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import Mock

import pytest
import torch
from accelerate import Accelerator

from muse_core.config.stage import Loss
from muse_core.errors import MuseError
from muse_core.losses.reconstruction import reconstruction_loss
from muse_core.training.fsdp import TAKEN, VERSION
from muse_core.training.visual_tokenizer_task import (
    LARGEST_RATIO,
    PIXEL_TERMS,
    VisualTokenizerTask,
)

from ...integration.systems import bits
from ..baselines.small_world import STAGES, SmallWorld, open_world, scenes


@pytest.fixture(scope="module")
def world() -> Iterator[SmallWorld]:
    with TemporaryDirectory() as folder:
        yield open_world(Path(folder))


def held_still(task) -> tuple[str, ...]:
    """Beginnings of the names of what a stage does not train."""
    network = task.network
    return network.fixed + (() if task.stage.trains_backbone else network.pretrained)


@pytest.mark.parametrize(("system", "number"), STAGES)
def test_an_update_moves_what_the_stage_trains_and_nothing_else(world, system, number) -> None:
    task = world.task(system, number)
    frozen, teachers = held_still(task), [world.teachers.topology, world.teachers.backbone]
    before, taught = bits(task.network), [bits(each) for each in teachers]
    for name, weight in task.network.named_parameters():
        trains = not name.startswith(frozen) and weight.numel() > 0
        assert weight.requires_grad == trains or weight.numel() == 0, name
    first = task.update(scenes(), 0)
    for name, weight in task.weights.items():
        assert weight.grad is not None and weight.grad.isfinite().all(), name
        assert weight.grad.any() or weight.numel() == 0, name
    second = task.update(scenes(), 1)
    after = bits(task.network)
    for name, value in before.items():
        if name.startswith(frozen) and not name.startswith("teacher."):
            assert torch.equal(value, after[name]), name
        elif name in task.weights and value.numel():
            assert not torch.equal(value, after[name]), name
    for network, was in zip(teachers, taught, strict=True):
        assert all(torch.equal(was[name], now) for name, now in bits(network).items())
    assert first.keys() == second.keys() >= {"loss/total", "loss/discriminator", "learning_rate"}
    for row in (first, second):
        heard = {name: row[f"loss/{name}"] for name in task.stage.weights}
        if system != "va-vae":  # one of its weights is adaptive
            total = sum(weight * heard[name] for name, weight in task.stage.weights.items())
            assert row["loss/total"] == pytest.approx(total, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(("system", "number"), STAGES)
def test_frozen_parts_are_in_eval_mode_and_rates_are_those_of_the_stage(
    world, system, number
) -> None:
    task = world.task(system, number)
    frozen, pretrained = held_still(task), task.network.pretrained
    for name, module in task.network.named_modules():
        assert module.training != f"{name}.".startswith(frozen), name
    names = {id(weight): name for name, weight in task.weights.items()}
    grouped = set()
    for group in task.optimiser.param_groups:
        for weight in group["params"]:
            tuned = bool(pretrained) and names[id(weight)].startswith(pretrained)
            share = task.stage.backbone_rate if tuned else 1
            assert group["peak_rate"] == task.stage.learning_rate * share
            grouped.add(names[id(weight)])
    assert grouped == set(task.weights)


@pytest.mark.parametrize("system", ["va-vae", "rae"])
def test_a_weight_of_no_loss_is_a_sentence(world, system) -> None:
    weights = {**world.stage(system).weights, "topologie": 1.0}
    said = "Unknown loss of this system 'topologie': choose one of reconstruction, perceptual"
    with pytest.raises(MuseError, match=said):
        world.task(system, weights=weights)


def test_the_adaptive_weight_is_the_ratio_of_gradients_at_the_encoders_last_weight(world) -> None:
    task, batch = world.task("va-vae"), scenes(4)
    weights = task.stage.weights
    assert task.stage.shares[Loss.PERCEPTUAL] == 0.5
    found, targets = task.network(batch.images), world.targets(batch)
    terms = task._terms(found, targets)
    at = task.network.encoder.network.conv_out.weight
    seen = world.teachers.perceptual(found.reconstruction[:2])
    real = world.teachers.perceptual(batch.images[:2])
    unit = lambda each: each / each.norm(dim=-1, keepdim=True)
    apart = [
        (unit(one) - unit(two)).square().sum(-1).mean() for one, two in zip(seen, real, strict=True)
    ]
    perceptual = sum(apart) / len(apart)
    pixels = weights["perceptual"] * perceptual + weights["reconstruction"] * reconstruction_loss(
        found.reconstruction, batch.images
    )
    own = terms.parts["vision_foundation"]
    sizes = [
        torch.autograd.grad(loss, at, retain_graph=True)[0].square().sum().sqrt().item()
        for loss in (pixels, own)
    ]
    ratio = sizes[0] / sizes[1]
    others = sum(
        weight * terms.parts[name].item()
        for name, weight in weights.items()
        if name != "vision_foundation"
    )
    weighed = (terms.total.item() - others) / (weights["vision_foundation"] * own.item())
    assert weighed == pytest.approx(ratio, rel=0.01) and abs(ratio - 1) > 0.05


def test_an_adaptive_weight_is_held_back_where_its_loss_has_no_gradient(world) -> None:
    task, batch = world.task("va-vae"), scenes()
    network = task.network
    found = network(batch.images)
    parts = {"reconstruction": 1e9 * found.reconstruction.sum()}
    parts["vision_foundation"] = 0 * found.encoded.latent.sum()
    assert task._ratio(parts, "vision_foundation", network.encoder.last) == LARGEST_RATIO
    only = {"vision_foundation": parts["vision_foundation"]}
    assert task._ratio(only, "vision_foundation", network.encoder.last) == 1
    network.encoder.last.requires_grad_(False)
    assert task._ratio(parts, "vision_foundation", network.encoder.last) == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_changes_nothing(world, value) -> None:
    task = world.task("vtp")
    task.update(scenes(), 0)
    before, weights = task.state().tensors, bits(task.network)
    with pytest.raises(FloatingPointError, match=r"the loss is (nan|inf)"):
        task.update(replace(scenes(), images=scenes().images * value), 1)
    after = task.state().tensors
    assert all(torch.equal(before[name], after[name]) for name in before if name != "rng/cpu")
    assert all(torch.equal(value, weights[name]) for name, value in bits(task.network).items())


def test_a_share_of_the_images_is_looked_at(world) -> None:
    """A loss on pixels with a share sees the first images, and the system's own all."""
    counts = {}

    def counted(name):
        def term(step):
            counts[name] = len(step.found.images), len(step.targets.batch)
            return PIXEL_TERMS[name](step)

        return term

    task = world.task("unitok", losses={name: counted(name) for name in PIXEL_TERMS})
    task.update(scenes(4), 0)
    assert counts == {
        Loss.RECONSTRUCTION: (4, 4),
        Loss.PERCEPTUAL: (2, 2),
        Loss.ADVERSARIAL: (2, 2),
    }


def test_a_loss_of_ones_own_is_heard_and_described(world) -> None:
    own = PIXEL_TERMS | {"darkness": lambda step: step.found.reconstruction.mean()}
    weights = {"reconstruction": 1.0, "darkness": 0.5}
    task = world.task("rae", losses=own, weights=weights)
    row = task.update(scenes(), 0)
    assert "loss/discriminator" not in row, "no critic where no loss asks for it"
    total = row["loss/reconstruction"] + 0.5 * row["loss/darkness"]
    assert row["loss/total"] == pytest.approx(total, rel=1e-5)
    assert task.configuration()["losses"].keys() == {"darkness"}


def test_what_no_loss_of_the_stage_reaches_is_not_waited_for(world) -> None:
    """Without a contrast nothing trains its temperature and the projection into the text space."""
    task = world.task("vtp", weights={"reconstruction": 1.0, "dino": 1.0})
    for name in ("to_text.weight", "contrast.log_scale", "student.ibot.prototypes"):
        assert name not in task.weights and not task.network.get_parameter(name).requires_grad
    assert "student.dino.prototypes" in task.weights
    task.update(scenes(), 0)


def test_making_a_task_draws_no_random_numbers_of_the_training(world) -> None:
    """All losses of the stage are looked at once before it, on noise."""
    task, drawn = world.task("vtp"), []
    for prepare in (lambda: None, task._freeze_unheard):
        torch.manual_seed(5)
        prepare()
        drawn.append(torch.rand(3))
    assert torch.equal(*drawn)


def test_its_configuration_names_system_size_and_start(world) -> None:
    first, second = world.task("rae"), world.task("rae")
    said = first.configuration()
    assert said["system"] == "Rae" and said["tokenizer"]["image_size"] == 32
    assert not any(name.startswith("_") for name in said["tokenizer"])
    assert said["losses"] == {} and said == second.configuration()
    second.update(scenes(), 0)
    assert second.configuration() == said, "the start does not move with training"
    assert first.facts() == {"perceptual_network": world.teachers.perceptual.name}


def test_weights_in_shards_are_refused(world, monkeypatch) -> None:
    monkeypatch.setenv(TAKEN, "true")
    monkeypatch.setenv(VERSION, "2")
    two, made = Mock(Accelerator, num_processes=2), (world.new("rae"), world.stage("rae"))
    with pytest.raises(MuseError, match="Training a system of Table 1 needs whole weights"):
        VisualTokenizerTask(*made, world.teachers, None, two)
