"""One model answers, draws and edits; it is saved whole, and says what it cannot do."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from muse_core.config.preset import DenoiserShape
from muse_core.data.shape_templates import SHAPES
from muse_core.errors import MuseError
from muse_core.generation.codecs import Codec
from muse_core.generation.denoiser import build_denoiser
from muse_core.generation.latent_normalisation import LatentNormalisation
from muse_core.training.freshness import weights_digest
from muse_core.unified import unified_model
from muse_core.unified.drawer import Drawer, SeenImage
from muse_core.unified.drawing_connector import DrawingConnector
from muse_core.unified.projector import VisualProjector
from muse_core.unified.seeing_model import SeeingModel
from muse_core.unified.unified_model import UnifiedModel

from ..models.small_models import TINY, small_tokenizer
from .small_language import small_language_model

SHAPE = DenoiserShape(
    num_layers=1,
    num_attention_heads=2,
    attention_head_dim=8,
    num_cross_attention_heads=2,
    cross_attention_head_dim=8,
)
FEW = {"num_inference_steps": 2}


@pytest.fixture(scope="module")
def model() -> UnifiedModel:
    torch.manual_seed(0)
    sees, language = small_tokenizer().eval(), small_language_model()
    images = torch.rand(2, 3, TINY.image_size, TINY.image_size)
    encoded = sees.encode(images)
    latents = encoded.latent
    denoiser = build_denoiser(SHAPE, latents.shape[1], latents.shape[2], 24)
    projector = VisualProjector(encoded.semantic.shape[-1], 32)
    own = Codec(sees).fingerprint
    drawer = Drawer.of(
        DrawingConnector.of(language, 3, 1, 24),
        denoiser,
        tokenizer=own,
        language_model=weights_digest(language.network),
        projector=weights_digest(projector),
    )
    normalisation = LatentNormalisation.measured(latents, own)
    return UnifiedModel(sees, projector, language, drawer, normalisation).eval()


@pytest.fixture
def image() -> Image.Image:
    return Image.new("RGB", (TINY.image_size, TINY.image_size), "red")


def drawer_with(model: UnifiedModel, **changed: Any) -> Drawer:
    config = {n: each for n, each in dict(model.drawer.config).items() if not n.startswith("_")}
    made = Drawer(**config | changed).eval()
    made.load_state_dict(model.drawer.state_dict())
    return made


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_it_draws_what_it_is_told_the_same_by_seed(model) -> None:
    one, other = model.draw(["a star", "a ring"], generator=seeded(), **FEW)
    assert one.size == (TINY.image_size, TINY.image_size) and one.tobytes() != other.tobytes()
    again = model.draw(["a star", "a ring"], generator=seeded(), **FEW)
    assert again[1].tobytes() == other.tobytes()
    (alone,) = model.draw("a star", generator=seeded(), **FEW)
    assert alone.size == one.size


def test_guidance_goes_away_from_the_empty_prompt(model) -> None:
    latents = lambda w: model.sampler.latents(["a star"], None, w, 1, seeded())
    none, one, three = latents(0.0), latents(1.0), latents(3.0)
    torch.testing.assert_close(three - none, 3 * (one - none), rtol=1e-3, atol=1e-4)
    assert not torch.allclose(one, none)
    # Without a word, and with none of its guidance, the prompt does not matter.
    other = model.sampler.latents(["a blue ring"], None, 0.0, 1, seeded())
    torch.testing.assert_close(none, other, rtol=1e-3, atol=1e-4)


def test_without_an_instruction_the_image_is_still_seen(model) -> None:
    width = model.drawer.connector.queries.shape[-1]
    shape = model.drawer.denoiser.config
    sides = shape.out_channels, shape.sample_size, shape.sample_size

    def drawn(words: int, latents: int = 0, guidance: float = 0.0) -> Tensor:
        image = SeenImage(
            torch.randn(1, 4, width, generator=seeded(words)),
            torch.randn(1, *sides, generator=seeded(latents)),
        )
        return model.sampler.latents(["a star"], image, guidance, 1, seeded())

    without = model.sampler.latents(["a star"], None, 0.0, 1, seeded())
    for other in (drawn(1), drawn(0, latents=1), without):
        assert not torch.allclose(drawn(0), other)
    # The instruction's words are read beside the image's.
    assert not torch.allclose(drawn(0, guidance=1.0), drawn(1, guidance=1.0))


def test_an_edit_that_changes_nothing_is_the_image(model, monkeypatch) -> None:
    # The velocity that leads from anywhere to nothing: no difference to the image is drawn.
    to_nothing = lambda self, x, t, given, beside: x / t[:, None, None, None]
    monkeypatch.setattr(Drawer, "velocity", to_nothing)
    width, shape = model.drawer.connector.queries.shape[-1], model.drawer.denoiser.config
    latents = torch.randn(1, shape.out_channels, shape.sample_size, shape.sample_size)
    seen = SeenImage(torch.randn(1, 4, width), latents)
    drawn = lambda image: model.sampler.latents(["a star"], image, 1.0, 4, seeded())
    torch.testing.assert_close(drawn(seen), latents, rtol=1e-3, atol=1e-4)
    mean = model.normalisation.denormalise(torch.zeros_like(latents))
    torch.testing.assert_close(drawn(None), mean, rtol=1e-3, atol=1e-4)


def test_words_are_spelled_as_the_language_model_does(model, image) -> None:
    drawn = lambda prompt: model.draw(prompt, generator=seeded(), **FEW)[0].tobytes()
    assert drawn("A red star.") == drawn("a red star")
    edit = lambda said: model.edit(image, said, generator=seeded(), **FEW).image.tobytes()
    assert edit("The star turned left.") == edit("the star turned left")


def test_times_are_shifted_in_sampling_as_in_training(model) -> None:
    shifted = drawer_with(model, shift=3.0)
    other = replace(model.sampler, drawer=shifted)
    one, two = (each.latents(["a star"], None, 1.0, 4, seeded()) for each in (model.sampler, other))
    assert not torch.allclose(one, two)


def test_another_image_is_edited_into_another(model, image) -> None:
    edit = lambda picture: model.edit(picture, "a red star", generator=seeded(), **FEW).image
    blue = Image.new("RGB", image.size, "blue")
    assert edit(image).size == image.size and edit(image).tobytes() != edit(blue).tobytes()


def test_outside_a_mask_the_latent_stays_bit_for_bit(model, image, monkeypatch) -> None:
    side, drawn = TINY.image_size, []
    decode = model.tokenizer.decode_image
    monkeypatch.setattr(model.tokenizer, "decode_image", lambda z: drawn.append(z) or decode(z))
    mask = torch.zeros(1, side, side, dtype=torch.bool)
    mask[:, :, : side // 2] = True
    model.edit(image, "a red star", mask, generator=seeded(), **FEW)
    before = model.tokenizer.encode(model.one_image(image)).latent
    half = before.shape[-1] // 2
    assert torch.equal(drawn[0][..., half:], before[..., half:])
    assert not torch.isclose(drawn[0][..., :half], before[..., :half]).any()
    with pytest.raises(MuseError, match=r"The mask is \(1, 4, 4\)"):
        model.edit(image, "a red star", mask[:, :4, :4], **FEW)


def test_what_the_instruction_names_and_nobody_sees_is_said(model, image, monkeypatch) -> None:
    likely = torch.tensor([0.0 if shape == "star" else 9.0 for shape in SHAPES])
    monkeypatch.setattr(unified_model, "option_scores", lambda *given: likely)
    found = model.edit(image, "the star turned left", **FEW)
    assert found.note == "There may be no star in this image, as far as it is understood."
    assert model.edit(image, "a star turned left", **FEW).note == ""
    likely[SHAPES.index("star")] = 9.0
    assert model.edit(image, "the star turned left", **FEW).note == ""


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ("make the star green", ["star"]),
        ("remove the small red star", ["star"]),
        ("turn the red star into a ring", ["star"]),
        ("move the star to the left of the ring", ["star", "ring"]),
        ("add a red star", []),
        ("make the background dark", []),
    ],
)
def test_a_shape_is_named_with_its_attributes_or_without(said: str, names: list[str]) -> None:
    assert unified_model.NAMED.findall(said) == names


def test_it_is_saved_whole(model, image, tmp_path) -> None:
    model.save_pretrained(tmp_path / "all")
    opened = UnifiedModel.from_pretrained(tmp_path / "all")
    asked = "what shape is the object ?"
    assert opened.chat(image, asked)[0] == model.chat(image, asked)[0]
    pair = (each.draw("a star", generator=seeded(), **FEW)[0] for each in (opened, model))
    assert next(pair).tobytes() == next(pair).tobytes()


def test_latents_of_another_tokenizer_are_refused(model) -> None:
    parts = {name: getattr(model, name) for name in UnifiedModel.parts}
    statistics = LatentNormalisation(
        model.normalisation.config["channels"], tokenizer="another", images=2
    )
    with pytest.raises(MuseError, match="measured on tokenizer another"):
        UnifiedModel(**parts | {"normalisation": statistics})


@pytest.mark.parametrize(
    ("field", "says"),
    [
        ("tokenizer", "trained with tokenizer x"),
        ("language_model", "with language model x"),
        ("projector", "with projector x"),
    ],
)
def test_a_drawer_of_another_s_is_refused(model, field: str, says: str) -> None:
    parts = {name: getattr(model, name) for name in UnifiedModel.parts}
    other = drawer_with(model, **{field: "x"})
    with pytest.raises(MuseError, match=says):
        UnifiedModel(**parts | {"drawer": other})


@pytest.mark.parametrize(
    ("prompt", "options", "says"),
    [
        ([], {}, "nothing to draw"),
        ("  ", {}, "nothing to draw"),
        (["a star", " "], {}, "prompt 2 of 2 is ' '"),
        ("a star", {"guidance_scale": 1e38}, "at most 1000"),
        ("a banana", {}, "does not know 'banana'"),
        ("a star", {"guidance_scale": -1.0}, "guidance_scale must be 0 or more"),
        ("a star", {"num_inference_steps": 0}, "at least 1"),
        (["a star"] * 3, {"generator": [seeded(), seeded()]}, "2 generators and 3 images"),
    ],
)
def test_what_cannot_be_drawn_is_a_sentence(model, prompt, options, says: str) -> None:
    with pytest.raises(MuseError, match=says):
        model.draw(prompt, **FEW | options)


def test_an_empty_instruction_and_two_images_are_sentences(model, image) -> None:
    with pytest.raises(MuseError, match="instruction is empty"):
        model.edit(image, " ")
    with pytest.raises(MuseError, match="There are 2 images"):
        model.edit([image, image], "a red star")


def test_a_mask_that_marks_nothing_is_a_sentence(model, image) -> None:
    nothing = torch.zeros(1, TINY.image_size, TINY.image_size, dtype=torch.bool)
    with pytest.raises(MuseError, match="marks no pixel"):
        model.edit(image, "a red star", nothing, **FEW)


def test_what_is_not_this_model_is_never_deleted(model, tmp_path) -> None:
    other = tmp_path / "bert"
    other.mkdir()
    (other / "config.json").write_text('{"model_type": "bert"}')
    (other / "thesis.txt").write_text("years")
    with pytest.raises(MuseError, match="holds something else"):
        model.save_pretrained(other)
    assert (other / "thesis.txt").read_text() == "years"
    model.save_pretrained(tmp_path / "own")
    model.save_pretrained(tmp_path / "own")
    (tmp_path / "own" / "thesis.txt").write_text("years")
    with pytest.raises(MuseError, match="holds something else"):
        model.save_pretrained(tmp_path / "own")
    assert (tmp_path / "own" / "thesis.txt").is_file()
    (tmp_path / "own" / "thesis.txt").unlink()
    seeing = SeeingModel(model.tokenizer, model.projector, model.language_model, model.reads)
    with pytest.raises(MuseError, match="holds something else"):
        seeing.save_pretrained(tmp_path / "own")
    assert (tmp_path / "own" / "drawer").is_dir(), "a drawer that was trained"
