"""A user's loss: it needs a row of the routing table, and trains what that row trains,
bit for bit.
"""

from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator

from muse_core.config.presets import tiny
from muse_core.data.scenes import Scenes
from muse_core.errors import MuseError
from muse_core.models.gradient_routes import WeightGroup
from muse_core.models.weight_groups import weight_groups
from muse_core.training.loss_terms import TERMS, LossTerm, chosen_terms
from muse_core.training.tokenizer_task import TokenizerTask

from ..models.small_models import small_tokenizer
from .test_tokenizer_task import teachers  # noqa: F401 (a fixture)

STAGES = tiny().curriculum.stages
OPEN = {
    "topology": {WeightGroup.QUERY_KEY},
    "semantics": {WeightGroup.SEMANTIC_VALUE, WeightGroup.SEMANTIC_HEAD},
    "pixels": {WeightGroup.TEXTURE, WeightGroup.PIXEL_HEAD},
}
TRUNK = {WeightGroup.TRUNK, WeightGroup.BACKBONE}


def greedy(step):
    """Pulls at everything that the tokenizer gives out."""
    out = step.output
    seen = [out.reconstruction, out.latent, out.semantic, out.embedding]
    seen += [each for layer in out.attention for each in (layer.queries, layer.keys)]
    return sum(each.square().mean() for each in seen)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
@pytest.mark.parametrize("row", OPEN)
def test_a_loss_of_ones_own_reaches_the_weights_of_its_row_and_no_other(
    teachers,  # noqa: F811
    row,
    stage,
) -> None:
    stage = replace(stage, weights={"mine": 1.0})
    losses = TERMS | {"mine": LossTerm(greedy, row=row)}
    task = TokenizerTask(small_tokenizer(), stage, teachers, losses, Accelerator(cpu=True))
    task._backward(_terms(task, stage, losses))
    hears = TRUNK if stage.trains_backbone else set()
    if row == "pixels" and not stage.trains_backbone:
        hears = {WeightGroup.TRUNK}
    for group, members in weight_groups(task.tokenizer).items():
        energy = sum(w.grad.square().sum().item() for w in members.values() if w.grad is not None)
        assert (energy > 0) == (group in OPEN[row] | hears), (row, group, energy)


def _terms(task, stage, losses):
    from muse_core.training.loss_terms import forward_step

    batch = Scenes("train", 32).first(3)
    terms, _ = forward_step(
        task.model, task.tokenizer, task.discriminator, task.teachers, batch, stage, losses
    )
    return terms


def test_a_loss_without_a_row_or_without_a_term_is_refused_with_the_way_out() -> None:
    stage = replace(STAGES[0], weights={"topology": 1.0, "mine": 0.5})
    with pytest.raises(MuseError, match=r"'mine', which is not among .*LossTerm\(function, row="):
        chosen_terms(stage, TERMS)
    with pytest.raises(MuseError, match=r"'mine' has no row in the routing table: wrap it as Loss"):
        chosen_terms(stage, TERMS | {"mine": greedy})
    with pytest.raises(
        MuseError, match="Unknown row of the routing table 'texture': choose one of"
    ):
        LossTerm(greedy, row="texture")


def test_a_term_sees_every_value_and_gives_gradient_through_its_own_outputs_alone() -> None:
    out = small_tokenizer()(torch.rand(1, 3, 32, 32), with_attention=True)
    from types import SimpleNamespace

    from muse_core.training import loss_terms

    seen = loss_terms._for_row(out, "semantics")
    assert torch.equal(seen.reconstruction, out.reconstruction)
    assert not seen.reconstruction.requires_grad and seen.embedding.requires_grad
    assert not seen.attention[0].queries.requires_grad
    assert SimpleNamespace(**vars(seen)).latent.shape == out.latent.shape
