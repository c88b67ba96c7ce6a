import pytest
import torch

from muse_core.config.stage import Loss, by_loss
from muse_core.losses.objective import weighted_sum


def test_the_total_is_the_weighted_sum_and_the_parts_stay_unweighted() -> None:
    topology, rec = torch.tensor(2.0, requires_grad=True), torch.tensor(3.0, requires_grad=True)
    terms = weighted_sum(
        {Loss.TOPOLOGY: topology, Loss.RECONSTRUCTION: rec},
        by_loss(topology=0.5, reconstruction=10.0),
    )
    terms.total.backward()
    assert terms.as_floats() == {"topology": 2.0, "reconstruction": 3.0, "total": 31.0}
    assert (topology.grad.item(), rec.grad.item()) == (0.5, 10.0)


def test_a_term_without_a_weight_is_an_error() -> None:
    with pytest.raises(KeyError):
        weighted_sum({Loss.ANCHOR: torch.tensor(1.0)}, by_loss(topology=1.0))
