"""An answer's word looked where its logits were read, over the image's places alone."""

import pytest
import torch

from muse_core.unified.conversation import PLACEHOLDER, Turn, prompts
from muse_core.unified.words_looked_at import words_looked_at

from .small_language import small_language_model


def test_each_word_has_a_map_of_every_layer_and_head_over_the_image() -> None:
    torch.manual_seed(0)
    model, image = small_language_model(), torch.randn(1, 4, 32)
    found = words_looked_at(model, image, Turn("what shape is the object ?", "top left"))
    assert found.words == ("top", "left") and found.maps.shape == (2, 2, 4, 4)
    torch.testing.assert_close(found.maps.sum(-1), torch.ones(2, 2, 4))


def test_the_maps_are_the_attention_of_the_place_before_the_word() -> None:
    torch.manual_seed(0)
    model, image = small_language_model(), torch.randn(1, 4, 32)
    batch = prompts(model, [[Turn(f"{PLACEHOLDER} how many ?", "two")]], 4)
    places = batch.ids[0] == model.id_of("<IMG_CONTEXT>")
    at = int((batch.labels[0] != -100).nonzero()[0])
    embedded = model.embed(batch.ids)
    embedded[0, places] = image[0]
    model.network.set_attn_implementation("eager")
    attentions = model.network(inputs_embeds=embedded, output_attentions=True).attentions
    wanted = attentions[1][0, 3, at - 1][places]
    found = words_looked_at(model, image, Turn(f"{PLACEHOLDER} how many ?", "two"))
    torch.testing.assert_close(found.maps[0, 1, 3], wanted / wanted.sum())


def test_the_model_is_left_as_it_was() -> None:
    model = small_language_model()
    before = model.network.config._attn_implementation
    words_looked_at(model, torch.randn(1, 4, 32), Turn("how many ?", "two"))
    with pytest.raises(RuntimeError):
        words_looked_at(model, torch.randn(1, 4, 31), Turn("how many ?", "two"))
    assert model.network.config._attn_implementation == before
