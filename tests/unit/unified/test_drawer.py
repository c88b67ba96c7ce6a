"""The sequence that is drawn from: queries at its end, images that the language model alone reads,
gradients to the queries and no further.
"""

from dataclasses import replace

import pytest
import torch

from muse_core.config.preset import DenoiserShape
from muse_core.errors import MuseError
from muse_core.foundations.language_model import IMAGE_TOKEN
from muse_core.generation.denoiser import build_denoiser
from muse_core.unified.conversation import conversation
from muse_core.unified.drawer import Drawer, SeenImage, Understood, asked_for, understood
from muse_core.unified.drawing_connector import DrawingConnector

from .small_language import small_language_model

PROMPTS = ["a red star", "a top left object seen from below"]


@pytest.fixture
def model():
    torch.manual_seed(0)
    return small_language_model().requires_grad_(False)


@pytest.fixture
def drawer(model) -> Drawer:
    torch.manual_seed(1)
    shape = DenoiserShape(
        num_layers=1,
        num_attention_heads=2,
        attention_head_dim=8,
        num_cross_attention_heads=2,
        cross_attention_head_dim=8,
    )
    made = DrawingConnector.of(model, 3, 1, 24), build_denoiser(shape, 4, 4, 24)
    return Drawer.of(*made).eval()


def test_the_queries_stand_last_and_a_row_alone_is_the_row_in_a_batch(model, drawer) -> None:
    queries = drawer.connector.queries
    both = understood(model, queries, PROMPTS)
    assert both.hidden.shape[0] == 2 and not both.mask[0].all() and both.mask[1].all()
    alone = understood(model, queries, PROMPTS[:1])
    torch.testing.assert_close(both.hidden[0][both.mask[0]], alone.hidden[0], rtol=1e-4, atol=1e-5)
    moved = understood(model, queries + torch.tensor([0.0, 0.0, 1.0]).view(1, 3, 1), PROMPTS[:1])
    same = (moved.hidden == alone.hidden).all(-1)[0].tolist()
    # A causal model: only the last query and the mark after it hear of the last query.
    assert same == [True] * (len(same) - 2) + [False] * 2


def test_the_language_model_reads_an_image_and_the_connector_does_not(model, drawer) -> None:
    image = SeenImage(torch.randn(2, 4, 32), torch.randn(2, 4, 4, 4))
    found = understood(model, drawer.connector.queries, PROMPTS, image)
    other = understood(
        model, drawer.connector.queries, PROMPTS, replace(image, words=image.words + 1)
    )
    # What stands after the image has read it.
    assert not torch.allclose(found.hidden[:, -1], other.hidden[:, -1])
    for row in range(2):
        sequence = found.mask[row, found.mask[row].int().argmax() :]
        left_out = (~sequence).nonzero()[:, 0]
        ids = torch.tensor(conversation(model, asked_for(PROMPTS, image)[row], 4)[0])
        assert left_out.tolist() == (ids == model.id_of(IMAGE_TOKEN)).nonzero()[:, 0].tolist()
    hidden = torch.where(found.mask[..., None], found.hidden, 7.0)
    given = drawer.condition(found)
    torch.testing.assert_close(
        drawer.condition(Understood(hidden, found.mask)).states, given.states
    )


def test_gradients_reach_queries_connector_and_denoiser_and_nothing_else(model, drawer) -> None:
    given = understood(model, drawer.connector.queries, PROMPTS)
    found = drawer(torch.randn(2, 4, 4, 4), torch.tensor([0.2, 0.8]), given)
    assert found.shape == (2, 4, 4, 4)
    found.pow(2).mean().backward()
    assert drawer.connector.queries.grad.abs().sum() > 0
    assert drawer.connector.layers[0].mlp.up_proj.weight.grad.abs().sum() > 0
    assert drawer.denoiser.proj_out.weight.grad.abs().sum() > 0
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize("edits", [False, True])
def test_the_denoiser_attends_to_the_queries_alone(model, drawer, edits: bool) -> None:
    image = SeenImage(torch.randn(2, 4, 32), torch.randn(2, 4, 4, 4)) if edits else None
    given = drawer.condition(understood(model, drawer.connector.queries, PROMPTS, image))
    assert given.states.shape == (2, 3, 24) and given.mask.tolist() == [[1.0] * 3] * 2


def test_a_new_drawer_reads_the_image_beside_as_what_it_draws_and_learns_to(model, drawer) -> None:
    """At a latent it says what it says of the sum of both, with the image taken off."""
    change, time, beside = torch.randn(2, 4, 4, 4), torch.tensor([0.2, 0.8]), torch.ones(2, 4, 4, 4)
    given = understood(model, drawer.connector.queries, PROMPTS)
    anew, seen = drawer(change + beside, time, given), drawer(change, time, given, beside)
    torch.testing.assert_close(seen, anew + beside)
    seen.square().mean().backward()
    heard = drawer.denoiser.patch_embed.proj.weight.grad
    assert not torch.allclose(heard[:, 4:], heard[:, :4])


def test_a_prompt_changes_what_is_drawn(model, drawer) -> None:
    noise, time = torch.randn(1, 4, 4, 4), torch.tensor([0.5])
    queries = drawer.connector.queries
    one, other = (drawer(noise, time, understood(model, queries, [p])) for p in PROMPTS)
    assert not torch.allclose(one, other)


@pytest.mark.parametrize("shift", [0.0, -1.0, float("nan"), float("inf")])
def test_times_that_no_shift_gives_are_a_sentence(drawer, shift) -> None:
    with pytest.raises(MuseError, match=r"shift is .* give a number above 0"):
        Drawer(**{**drawer.config, "shift": shift})


def test_it_is_saved_and_opened(model, drawer, tmp_path) -> None:
    drawer.save_pretrained(tmp_path / "d")
    opened = Drawer.from_pretrained(tmp_path / "d").eval()
    noise, time = torch.randn(1, 4, 4, 4), torch.tensor([0.5])
    given = understood(model, drawer.connector.queries, PROMPTS[:1])
    own = drawer.state_dict()
    assert all(torch.equal(weight, own[name]) for name, weight in opened.state_dict().items())
    # Weights at another place of memory are multiplied in another order.
    torch.testing.assert_close(opened(noise, time, given), drawer(noise, time, given))
