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
from muse_core.foundations.perceptual import PerceptualNetwork
from muse_core.models.gradient_routes import WeightGroup
from muse_core.models.weight_groups import weight_groups
from muse_core.training.loss_terms import (
    TERMS,
    LossTerm,
    chosen_terms,
    forward_step,
    uneven_shares,
)
from muse_core.training.teachers import Teachers
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


def test_a_loss_sees_its_share_and_may_look_at_all_that_is_made_of_it(teachers) -> None:  # noqa: F811
    counts, task = {}, shared_task(teachers, {"wide": 1.0, "narrow": 0.5, "rare": 0.01})

    def counting(name):
        def loss(step):
            output = step.output
            sizes = {len(step.batch), len(output.latent), len(output.reconstruction)}
            (counts[name],) = sizes | {len(step.targets.text)}
            return step.output.embedding.mean() + step.output.reconstruction.mean()

        return loss

    rows = {"wide": "semantics", "narrow": "pixels", "rare": "pixels"}
    losses = {name: LossTerm(counting(name), row=row) for name, row in rows.items()}
    batch = Scenes("train", 32).first(4)
    asked = []
    teachers.text.register_forward_pre_hook(lambda _, given: asked.append(len(given[0])))
    networks = task.model, task.tokenizer, task.discriminator, task.teachers
    terms, output = forward_step(*networks, batch, task.stage, losses)
    assert counts == {"wide": 4, "narrow": 2, "rare": 1}
    assert len(output.reconstruction) == 4
    assert list(terms.parts) == ["wide", "narrow", "rare"]
    assert asked == [4], "the teacher is asked once, for the loss that sees most"


def shared_task(teachers, shares):  # noqa: F811
    stage = replace(STAGES[2], weights=dict.fromkeys(shares, 1.0), shares=shares)
    losses = {name: LossTerm(greedy, row="pixels") for name in shares}
    return TokenizerTask(small_tokenizer(), stage, teachers, losses, Accelerator(cpu=True))


def test_a_share_of_a_loss_is_that_loss_on_the_first_images(teachers) -> None:  # noqa: F811
    batch, parts = Scenes("train", 32).first(4), []
    for stage, seen in ((replace(STAGES[2], shares=halves()), batch), (whole(), batch.first(2))):
        torch.manual_seed(0)
        task = TokenizerTask(small_tokenizer(), stage, teachers, None, Accelerator(cpu=True))
        networks = task.model, task.tokenizer, task.discriminator, task.teachers
        terms, output = forward_step(*networks, seen, stage)
        assert len(output.reconstruction) == 2, "no more than a loss of pixels asks for is decoded"
        parts.append(terms.as_floats())
    assert parts[0] == pytest.approx(parts[1], rel=1e-5)


def test_shares_that_several_processes_round_otherwise_are_said() -> None:
    third = STAGES[2]
    assert uneven_shares(third, 1) == [] and uneven_shares(third, 2) == []
    assert uneven_shares(third, 4) == [
        "adversarial sees 8 of a step's 24 images in 4 processes, and 6 in one",
        "perceptual sees 8 of a step's 24 images in 4 processes, and 6 in one",
    ]


class Blind(PerceptualNetwork):
    """Asks no teacher, as LPIPS's VGG."""

    name = "blind"

    def forward(self, images):
        return [images.flatten(2).transpose(1, 2)]


def test_a_perceptual_network_of_its_own_asks_no_teacher(teachers, monkeypatch) -> None:  # noqa: F811
    blind = replace(teachers, perceptual=Blind())
    stage = replace(STAGES[0], weights={"perceptual": 1.0}, shares={})
    task = TokenizerTask(small_tokenizer(), stage, blind, None, Accelerator(cpu=True))
    monkeypatch.setattr(Teachers, "look", lambda *_: pytest.fail("the teacher was asked"))
    networks = task.model, task.tokenizer, task.discriminator, task.teachers
    assert forward_step(*networks, Scenes("train", 32).first(2), stage)[0].total > 0


def halves():
    return dict.fromkeys(STAGES[2].weights, 0.5)


def whole():
    return replace(STAGES[2], shares={})


def test_no_teacher_is_asked_what_no_loss_looks_at(teachers) -> None:  # noqa: F811
    stage = replace(STAGES[0], weights={"topology": 1.0}, shares={})
    task = TokenizerTask(small_tokenizer(), stage, teachers, None, Accelerator(cpu=True))
    hook = teachers.text.register_forward_pre_hook(lambda *_: pytest.fail("captions were read"))
    _terms(task, stage, TERMS)
    hook.remove()
