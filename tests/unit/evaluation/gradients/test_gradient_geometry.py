"""Gradient geometry against finite differences, plain ``backward()``, planted gradients, and the
routing table.
"""

import socket
from itertools import combinations
from math import nan, sqrt
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from muse_core.config.stage import Loss
from muse_core.errors import MuseError
from muse_core.evaluation.gradients.gradient_geometry import (
    Place,
    as_found,
    gradient_geometry,
    in_blocks,
    kind_of,
    places,
)
from muse_core.models.weight_groups import weight_groups
from tests.unit.models.small_models import loss_of, random_images, small_tokenizer

HERE = Place("w")
LOSSES = (Loss.TOPOLOGY, Loss.ANCHOR, Loss.RECONSTRUCTION)


def of(a: list[float], b: list[float]):
    weight = nn.Parameter(torch.zeros(len(a)))
    losses = {"a": (weight * torch.tensor(a)).sum(), "b": (weight * torch.tensor(b)).sum()}
    return gradient_geometry(losses, {HERE: [weight]})


@pytest.mark.parametrize(
    ("a", "b", "cosine", "conflict"),
    [
        ([1.0, 2.0], [2.0, 4.0], 1.0, 0.0),
        ([1.0, 2.0], [-1.0, -2.0], -1.0, 1.0),
        ([1.0, 0.0], [0.0, 1.0], 0.0, nan),
        ([3.0, 4.0, 0.0], [4.0, -3.0, 5.0], 0.0, 0.5),
        ([0.0, 0.0], [1.0, 1.0], nan, nan),
    ],
)
def test_planted_gradients_have_their_known_geometry(a, b, cosine, conflict) -> None:
    found = of(a, b)
    assert found.cosines("a", "b")[0] == pytest.approx(cosine, nan_ok=True)
    assert found.cosine("a", "b") == pytest.approx(cosine, nan_ok=True)
    assert found.conflict[0, 0, 1] == pytest.approx(conflict, nan_ok=True)


def test_energy_agrees_with_finite_differences() -> None:
    torch.manual_seed(0)
    weight, x = nn.Parameter(torch.randn(6).double()), torch.randn(6).double()
    loss = lambda w: torch.tanh(w * x).sum() + (w**3).mean()
    step = 1e-5
    slopes = [
        (loss(weight.detach() + step * e) - loss(weight.detach() - step * e)) / (2 * step)
        for e in torch.eye(6).double()
    ]
    found = gradient_geometry({"l": loss(weight)}, {HERE: [weight]})
    assert found.energy("l")[0] == pytest.approx(sum(s.item() ** 2 for s in slopes), rel=1e-6)
    assert found.share("l")[0] == 1.0 and weight.grad is None


def terms(routing: str):
    tokenizer, images = small_tokenizer(routing=routing), random_images()
    output = tokenizer(images, with_attention=True)
    return tokenizer, {str(loss): loss_of(loss, output, images, tokenizer) for loss in LOSSES}


def test_it_agrees_with_plain_backward_on_the_tokenizer() -> None:
    tokenizer, losses = terms("shared")
    at = places(tokenizer)
    energies = gradient_geometry(losses, at).energy("anchor")
    losses["anchor"].backward()
    for energy, weights in zip(energies, at.values(), strict=True):
        reached = [weight.grad.double() for weight in weights if weight.grad is not None]
        plain = sum(gradient.square().sum().item() for gradient in reached)
        assert energy == pytest.approx(plain, rel=1e-5, abs=1e-30)


def test_orthogonal_routing_leaves_no_pair_in_the_blocks_and_shared_routing_does() -> None:
    for routing, meets in (("orthogonal", False), ("shared", True)):
        tokenizer, losses = terms(routing)
        found = gradient_geometry(losses, places(tokenizer)).at(in_blocks)
        for a, b in combinations(found.losses, 2):
            assert np.isfinite(found.cosines(a, b)).any() == meets
            assert np.isfinite(found.cosine(a, b)) == meets
        assert found.energy("topology")[found.places.index(Place("W_Q", 0))] > 0


def test_every_weight_has_exactly_one_place() -> None:
    tokenizer = small_tokenizer()
    members = [weight for weights in places(tokenizer).values() for weight in weights]
    assert (
        len(members) == len({id(weight) for weight in members}) == len(list(tokenizer.parameters()))
    )
    assert len(members) == sum(len(group) for group in weight_groups(tokenizer).values())
    with pytest.raises(MuseError, match="belongs to no group"):
        kind_of("something.else")


def test_the_backbone_has_two_kinds_in_every_layer_and_a_split_one_no_pair_with_topology() -> None:
    tokenizer, losses = terms("trunk-routed")
    at = places(tokenizer)
    assert {place.block for place in at if place.kind == "backbone W_Q, W_K"} == {0, 1}
    assert {place.block for place in at if place.kind == "backbone"} == {-1, 0, 1}
    found = gradient_geometry(losses, at).at(lambda place: place.kind.startswith("backbone"))
    for index, place in enumerate(found.places):
        heard = [loss for loss in found.losses if found.energy(loss)[index] > 0]
        expected = ["topology"] if "W_Q" in place.kind else ["anchor", "reconstruction"]
        assert heard == expected, place
    assert np.isnan(found.cosines("topology", "anchor")).all()


def test_what_has_no_gradient_is_a_sentence() -> None:
    weight = nn.Parameter(torch.zeros(2))
    with pytest.raises(MuseError, match="at least one"):
        gradient_geometry({}, {HERE: [weight]})
    with pytest.raises(MuseError, match="has no gradient"):
        gradient_geometry({"l": weight.detach().sum()}, {HERE: [weight]})


def test_a_gradient_that_is_not_finite_is_a_sentence() -> None:
    with pytest.raises(MuseError, match="'a' is not finite at w: lower"):
        of([float("inf"), 0.0], [1.0, 1.0])


def test_a_loss_that_reaches_no_weight_has_no_energy_and_no_cosine() -> None:
    weight, elsewhere = nn.Parameter(torch.ones(2)), torch.ones(2, requires_grad=True)
    found = gradient_geometry({"a": weight.sum(), "b": elsewhere.sum()}, {HERE: [weight]})
    assert found.energy("b")[0] == 0.0 == found.share("b")[0]
    assert np.isnan(found.cosine("a", "b"))


def test_the_joint_cosine_is_that_of_the_joined_vectors() -> None:
    here, there = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1))
    slopes = {"a": ([1.0, 2.0], [3.0]), "b": ([2.0, -1.0], [5.0])}
    losses = {
        name: (here * torch.tensor(x)).sum() + (there * torch.tensor(y)).sum()
        for name, (x, y) in slopes.items()
    }
    found = gradient_geometry(losses, {"here": [here], "there": [there]})
    assert found.cosine("a", "b") == pytest.approx(15 / (sqrt(14) * sqrt(30)))
    assert found.at("here".__eq__).cosine("a", "b") == pytest.approx(0.0)


def test_losses_that_share_no_weight_have_no_joint_cosine() -> None:
    here, there = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    losses = {"a": here.sum(), "b": there.sum()}
    assert np.isnan(gradient_geometry(losses, {"x": [here], "y": [there]}).cosine("a", "b"))


def test_a_frozen_weight_has_no_energy() -> None:
    frozen, other = nn.Parameter(torch.ones(1), requires_grad=False), nn.Parameter(torch.ones(1))
    found = gradient_geometry({"a": (frozen * other).sum()}, {"x": [frozen], "y": [other]})
    assert found.energy("a").tolist() == [0.0, 1.0]


def test_state_is_as_it_was_found() -> None:
    layer = nn.BatchNorm1d(3)
    layer.weight.requires_grad_(False)
    state, drawn = (
        {name: t.clone() for name, t in layer.state_dict().items()},
        torch.get_rng_state(),
    )
    with as_found(layer):
        layer.requires_grad_(True)(torch.randn(4, 3))
    assert all(torch.equal(value, state[name]) for name, value in layer.state_dict().items())
    assert not layer.weight.requires_grad and torch.equal(torch.get_rng_state(), drawn)


def halves() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(6, 5, generator=generator), torch.randn(6, 4, generator=generator)


def two_losses(
    x: torch.Tensor, y: torch.Tensor
) -> tuple[nn.Parameter, nn.Parameter, dict[str, torch.Tensor]]:
    weight, lonely = nn.Parameter(torch.eye(5, 4)), nn.Parameter(torch.ones(4))
    return (
        weight,
        lonely,
        {"a": ((x @ weight - y) ** 2).mean(), "b": torch.tanh(x @ weight + lonely).mean()},
    )


def geometry_of(x: torch.Tensor, y: torch.Tensor):
    weight, lonely, losses = two_losses(x, y)
    return gradient_geometry(losses, {HERE: [weight], Place("W_O", 1): [lonely]})


def one_process(rank: int, port: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    torch.save(
        geometry_of(*(part.chunk(2)[rank] for part in halves())), Path(folder) / f"{rank}.pt"
    )
    dist.destroy_process_group()


@pytest.mark.long
def test_two_processes_with_half_a_batch_each_measure_what_one_does(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.start_processes(one_process, (port, str(tmp_path)), nprocs=2, start_method="fork")
    whole = geometry_of(*halves())
    for rank in range(2):
        part = torch.load(tmp_path / f"{rank}.pt", weights_only=False)
        assert part.gram == pytest.approx(whole.gram, rel=1e-5, abs=1e-12)
        assert np.isnan(part.cosines("a", "b")).tolist() == [False, True]
