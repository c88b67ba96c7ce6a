import pytest
import torch

from muse_core.data.scene_claims import Claim, SceneClaims, scene_claims
from muse_core.data.scenes import COLOURS, MIN_VISIBLE_PIXELS, OBJECTS, RELATIONS, TEXTURES, Scenes
from muse_core.data.shape_templates import SHAPES
from muse_core.errors import MuseError

N = 300


@pytest.fixture(scope="module")
def drawn():
    source = Scenes("val").described()
    return source.first(N), source.parameters(list(range(N)))


def visible_objects(instances: torch.Tensor) -> list[int]:
    """Numbers of the objects that a caption speaks of, the largest first."""
    sizes = instances.flatten().bincount(minlength=OBJECTS + 1)[1:]
    return [k for k in sizes.argsort(descending=True).tolist() if sizes[k] >= MIN_VISIBLE_PIXELS]


def test_every_claim_is_what_the_parameters_say(drawn) -> None:
    batch, scenes = drawn
    for row, (text, instances) in enumerate(zip(batch.captions, batch.instance_masks, strict=True)):
        claims, shown = scene_claims(text), visible_objects(instances)
        assert len(claims.objects) == len(shown) and (claims.relation is None) == (len(shown) == 1)
        for claim, k in zip(claims.objects, shown, strict=True):
            assert claim.shape == SHAPES[scenes.shape[row, k]]
            assert claim.colour in (None, list(COLOURS)[scenes.colour[row, k]])
            assert claim.texture in (None, TEXTURES[scenes.texture[row, k]])


def test_every_relation_holds_of_the_centres(drawn) -> None:
    batch, scenes = drawn
    for row, (text, instances) in enumerate(zip(batch.captions, batch.instance_masks, strict=True)):
        relation = scene_claims(text).relation
        if relation is not None:
            first, second = visible_objects(instances)[:2]
            away = scenes.centre[row, first] - scenes.centre[row, second]
            axis, sign = RELATIONS.index(relation) // 2, (-1, 1)[RELATIONS.index(relation) % 2]
            assert away[axis] * sign == away.abs().max()


def test_colours_and_textures_are_dropped_as_often_as_the_wording_says(drawn) -> None:
    claims = [claim for text in drawn[0].captions for claim in scene_claims(text).objects]
    coloured, textured = (
        sum(getattr(claim, name) is not None for claim in claims) for name in ("colour", "texture")
    )
    assert coloured / len(claims) == pytest.approx(0.8, abs=0.06)
    assert textured / len(claims) == pytest.approx(0.5, abs=0.06)


def test_three_objects_of_every_wording() -> None:
    claims = scene_claims("a striped red star left of an hourglass and an orange arrow")
    assert claims == SceneClaims(
        (Claim("star", "red", "striped"), Claim("hourglass"), Claim("arrow", "orange")), "left of"
    )
    assert scene_claims("a plain ring") == SceneClaims((Claim("ring", None, "plain"),))


def test_brief_captions_and_class_prompts_are_of_the_grammar_too() -> None:
    source = Scenes("val")
    for text in [
        *source.first(50).captions,
        *(prompt for prompts in source.class_prompts() for prompt in prompts),
    ]:
        assert scene_claims(text).objects


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "''"),
        ("a photo of a dog", "'a photo of a dog'"),
        ("a red striped star", "'a red striped star'"),
        ("a star left of", "'a star left of'"),
        ("a star above a ring above a heart", "'a ring above a heart'"),
        ("a star and a ring", "'a star and a ring'"),
        ("a star left of a ring and", "'a ring and'"),
        ("A star", "'A star'"),
    ],
)
def test_other_text_is_a_sentence(text, words) -> None:
    with pytest.raises(MuseError, match=f"{words} in the caption '{text}' names no drawn object"):
        scene_claims(text)
