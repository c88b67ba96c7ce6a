"""A form is data: each of its fields changes what it says and nothing of the routing."""

import pytest
import torch

from muse_core.config.stage import Loss
from muse_core.errors import MuseError
from muse_core.models.connector_form import FORMS, form_named
from muse_core.models.gradient_routes import ROUTINGS, may_reach, routing_named
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.models.weight_groups import group_of
from muse_core.training.tokenizer_task import UNSAID

from .small_models import loss_of, random_images, small_tokenizer


def in_form(form: str, routing: str = "orthogonal") -> MuseTokenizer:
    torch.manual_seed(0)
    config = small_tokenizer(routing=routing).config
    # What diffusers notes of defaults would take the form back.
    own = {key: value for key, value in config.items() if not key.startswith("_")}
    return MuseTokenizer(**own | {"form": form})


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("routing", ROUTINGS)
def test_no_form_opens_what_a_routing_closes(form: str, routing: str) -> None:
    hears = frozenset(Loss)
    for loss in (Loss.TOPOLOGY, Loss.ANCHOR, Loss.RECONSTRUCTION):
        tokenizer, images = in_form(form, routing), random_images()
        output = tokenizer(images, trunk_hears=hears, with_attention=True)
        loss_of(loss, output, images, tokenizer).backward()
        reached = set()
        for name, weight in tokenizer.named_parameters():
            if weight.grad is not None and weight.grad.any():
                reached.add(group_of(name))
        allowed = {
            group_of(name)
            for name, _ in tokenizer.named_parameters()
            if may_reach(loss, group_of(name), hears, True, routing_named(routing))
        }
        assert reached <= allowed and reached


def test_the_forms_differ_in_what_they_say() -> None:
    muse, release = in_form("muse"), in_form("release")
    assert muse.connector.queries.numel() and not hasattr(release.connector, "queries")
    assert muse.connector.rotary.get_embed([2, 3]).shape == (6, 2 * 16)
    assert release.connector.rotary.get_embed([6]).shape == (6, 2 * 16)
    hidden = lambda tokenizer: tokenizer.semantic_head.projector[1].weight.shape[0]
    assert hidden(muse) == 2 * hidden(release) == 64
    assert muse.to_latent[0].weight.shape == (32,) and not list(release.to_latent[0].parameters())
    with pytest.raises(MuseError, match="Unknown form 'free': choose one of muse, release"):
        form_named("free")


def test_earlier_stages_meant_the_form_that_they_could_not_name() -> None:
    config = dict(small_tokenizer().config)
    assert config["form"] == UNSAID["form"] == "muse"
    older = {key: value for key, value in config.items() if key != "form"}
    assert MuseTokenizer.from_config(older).config.form == "muse"
