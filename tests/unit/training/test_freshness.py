"""What counts as another training: weights bit for bit, a user's callable by what it does."""

from functools import partial

import pytest
import torch
from torch import nn

from muse_core.training.freshness import callable_digest, weights_digest

SCALE = 2.0


def loss(step):
    return SCALE * step.sum()


def test_a_digest_of_weights_sees_one_bit_and_passes_over_what_is_ignored() -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1))
    before, partly = weights_digest(network), weights_digest(network, "0.")
    with torch.no_grad():
        network[0].weight[0, 0] += 1e-7 * network[0].weight[0, 0].abs() + 1e-9
    assert weights_digest(network) != before and weights_digest(network, "0.") == partly
    network.half()
    assert weights_digest(network, "0.") != partly


def made(factor, inner):
    def mine(step, power=1):
        return inner(step) * factor**power

    return mine


def test_a_callable_counts_with_its_closure_its_defaults_and_the_functions_it_calls() -> None:
    first = callable_digest(made(1.0, loss))
    assert first == callable_digest(made(1.0, loss))
    assert first != callable_digest(made(2.0, loss))
    assert first != callable_digest(made(1.0, abs))
    assert callable_digest(partial(loss, 1)) != callable_digest(partial(loss, 2))


def test_a_callable_counts_with_its_body_and_its_globals(monkeypatch) -> None:
    namespaces: list[dict] = []
    for body in ("x.sum()", "x.mean()"):
        namespace = {"__name__": "cell"}
        exec(f"def mine(x):\n    return {body}", namespace)
        namespaces.append(namespace)
    one, other = (callable_digest(each["mine"]) for each in namespaces)
    assert one != other
    before = callable_digest(loss)
    monkeypatch.setitem(globals(), "SCALE", 3.0)
    assert callable_digest(loss) != before


def test_tensors_and_networks_in_a_closure_count() -> None:
    first, second = torch.ones(2), torch.tensor([1.0, 2.0])
    assert callable_digest(made(first, loss)) == callable_digest(made(first.clone(), loss))
    assert callable_digest(made(first, loss)) != callable_digest(made(second, loss))
    torch.manual_seed(0)
    assert callable_digest(made(nn.Linear(2, 2), loss)) != callable_digest(
        made(nn.Linear(2, 2), loss)
    )


@pytest.mark.parametrize("value", [lambda: None, print, made, partial(made, 1)])
def test_anything_has_a_digest_that_repeats(value) -> None:
    assert callable_digest(value) == callable_digest(value)
