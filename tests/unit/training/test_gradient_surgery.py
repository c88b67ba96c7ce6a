"""PCGrad against the paper's formula, and against plain backward where nothing conflicts."""

import pytest
import torch
from torch import nn

from muse_core.config.stage import Loss
from muse_core.losses.objective import weighted_sum
from muse_core.training.gradient_surgery import (
    backward_without_conflict,
    task_losses,
    without_conflict,
)
from muse_core.training.loss_terms import TERMS

vector = lambda *values: torch.tensor(values).double()


def test_two_gradients_in_conflict_lose_their_components_along_each_other() -> None:
    a, b = vector(1.0, 0.0), vector(-1.0, 1.0)
    expected = (a - (a @ b) / (b @ b) * b) + (
        b - (a @ b) / (a @ a) * a
    )  # Algorithm 1 of arXiv 2001.06782
    torch.testing.assert_close(without_conflict([a, b]), expected)
    torch.testing.assert_close(expected, vector(0.5, 1.5))


def test_without_conflict_the_sum_is_plain() -> None:
    assert torch.equal(
        without_conflict([vector(1.0, 0.0), vector(1.0, 1.0), vector(0.0, 2.0)]), vector(2.0, 3.0)
    )


def test_exactly_opposite_gradients_and_nought_give_finite_numbers() -> None:
    assert torch.equal(without_conflict([vector(1.0, 2.0), vector(-1.0, -2.0)]), vector(0.0, 0.0))
    assert torch.equal(without_conflict([vector(0.0, 0.0), vector(-1.0, 3.0)]), vector(-1.0, 3.0))


def test_three_tasks_are_projected_in_random_order_from_the_seed() -> None:
    tasks = [vector(1.0, 0.0, 0.0), vector(-1.0, 1.0, 0.0), vector(-0.5, -1.0, 1.0)]
    outcomes = set()
    for seed in range(12):
        torch.manual_seed(seed)
        first = without_conflict(tasks)
        torch.manual_seed(seed)
        assert torch.equal(first, without_conflict(tasks))
        outcomes.add(tuple(first.tolist()))
    assert len(outcomes) > 1


def test_losses_of_one_task_are_summed_with_their_weights() -> None:
    terms = {
        Loss.RECONSTRUCTION: torch.tensor(2.0),
        Loss.PERCEPTUAL: torch.tensor(10.0),
        Loss.TOPOLOGY: torch.tensor(3.0),
    }
    weights = {Loss.RECONSTRUCTION: 1.0, Loss.PERCEPTUAL: 0.1, Loss.TOPOLOGY: 0.5}
    found = task_losses(weighted_sum(terms, weights), weights, TERMS)
    assert {task: loss.item() for task, loss in found.items()} == {
        "pixels": pytest.approx(3.0),
        "topology": pytest.approx(1.5),
    }


def test_it_is_plain_backward_where_tasks_share_nothing_and_leaves_alone_what_no_task_reaches() -> (
    None
):
    first, second, idle = (nn.Parameter(torch.randn(3)) for _ in range(3))
    losses = lambda: {"a": (first**2).sum(), "b": torch.sin(second).sum()}
    backward_without_conflict(losses(), [first, second, idle])
    found = [weight.grad.clone() for weight in (first, second)]
    assert idle.grad is None
    for weight in (first, second):
        weight.grad = None
    sum(losses().values()).backward()
    torch.testing.assert_close(found, [first.grad, second.grad])


def test_on_a_shared_weight_it_removes_the_conflict() -> None:
    weight = nn.Parameter(torch.zeros(2))
    backward_without_conflict({"a": weight[0], "b": weight[1] - weight[0]}, [weight])
    torch.testing.assert_close(weight.grad, torch.tensor([0.5, 1.5]))
