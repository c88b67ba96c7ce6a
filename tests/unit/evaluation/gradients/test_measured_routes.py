"""What the notebooks plot is what the routing table says."""

import pytest
import torch

from muse_core.config.presets import tiny
from muse_core.data.batch import Batch
from muse_core.evaluation.gradients import measured_routes as module
from muse_core.evaluation.gradients.gradient_geometry import KINDS_GROUPS, places, weight_group
from muse_core.losses.objective import weighted_sum
from muse_core.models.gradient_routes import WeightGroup, may_reach
from muse_core.training.teachers import Teachers
from tests.unit.models.small_models import TINY, loss_of, random_images, small_tokenizer


@pytest.mark.parametrize("stage", list(tiny().curriculum), ids=lambda stage: stage.name)
def test_shares_sum_to_one_and_forbidden_cells_are_exactly_zero(
    stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer, images = small_tokenizer(), random_images()

    def forward(model, tokenizer, critic, teachers, batch, stage, losses):
        output = model(batch.images, trunk_hears=stage.trunk_hears, with_attention=True)
        parts = {loss: loss_of(loss, output, batch.images, tokenizer) for loss in stage.weights}
        return weighted_sum(parts, stage.weights), output

    monkeypatch.setattr(module, "forward_step", forward)
    batch = Batch(images, ("",) * 4, torch.zeros(4, dtype=torch.long), ("a", "b", "c", "d"))
    before = {name: weight.clone() for name, weight in tokenizer.named_parameters()}
    asked = [weight.requires_grad for weight in tokenizer.parameters()]
    teachers = object.__new__(Teachers)  # the replaced forward_step asks them nothing
    routes = module.measured_routes(tokenizer, stage, teachers, batch)
    for loss, shares in routes.items():
        assert abs(sum(shares.values()) - 1) < 1e-9
        for group in WeightGroup:
            assert (shares[group] > 0) == may_reach(
                loss, group, stage.trunk_hears, stage.trains_backbone
            ), (
                loss,
                group,
            )
    by_place = module.measured_shares(tokenizer, stage, teachers, batch, places(tokenizer))
    for loss, held in by_place.items():
        in_blocks = {place: share for place, share in held.items() if place.kind in KINDS_GROUPS}
        for group in (WeightGroup.QUERY_KEY, WeightGroup.SEMANTIC_VALUE):
            own = (share for place, share in in_blocks.items() if weight_group(place.kind) == group)
            assert sum(own) == pytest.approx(routes[loss][group], abs=1e-9)
    assert all(torch.equal(weight, before[name]) for name, weight in tokenizer.named_parameters())
    assert asked == [weight.requires_grad for weight in tokenizer.parameters()]
    assert TINY.num_blocks == 6
