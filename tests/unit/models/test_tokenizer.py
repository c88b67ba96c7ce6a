"""The tokenizer as a user meets it: encode, decode, save, load, other sizes, and sentences for
wrong ones.
"""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from muse_core.data.own_images import own_images
from muse_core.errors import MuseError
from muse_core.models.gradient_routes import ROUTINGS, Routing
from muse_core.models.tokenizer import MuseTokenizer

from .small_models import LARGER, SIZES, TINY, Size, random_images, small_tokenizer


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@torch.no_grad()
def test_encode_then_decode_is_forward(size: Size) -> None:
    tokenizer, images = small_tokenizer(size).eval(), random_images(size)
    output, encoding = tokenizer(images), tokenizer.encode(images)
    assert torch.equal(encoding.latent, output.latent) and torch.equal(
        encoding.semantic, output.semantic
    )
    assert torch.equal(encoding.embedding, output.embedding)
    decoded = tokenizer.decode(encoding.latent, tuple(images.shape[-2:])).sample
    assert torch.equal(decoded, output.reconstruction)
    side = size.image_size // size.patch_size // size.unshuffle
    assert encoding.latent.shape == (4, tokenizer.latent_channels, side, side)
    assert tokenizer.latent_channels == 8 + size.semantic_channels
    assert encoding.embedding.shape == (4, size.embedding_width)


def test_a_latent_of_two_bands_is_understood_by_one_and_decoded_from_both() -> None:
    tokenizer, images = small_tokenizer(LARGER).eval(), random_images(LARGER)
    encoding = tokenizer.encode(images)
    texture, semantics = encoding.latent.tensor_split([8], 1)
    band = semantics.flatten(2).transpose(1, 2)
    assert torch.equal(tokenizer.semantic_head(band), encoding.embedding)
    # The decoder starts as if there were one band, and learns to look at the other.
    assert torch.equal(tokenizer.decode(encoding.latent).sample, tokenizer.decoder(texture))
    tokenizer(images).reconstruction.sum().backward()
    assert tokenizer.semantics_to_decoder.weight.grad.any()
    assert tokenizer.to_semantic[1].weight.grad is None
    with torch.no_grad():
        tokenizer.semantics_to_decoder.weight.normal_()
    assert not torch.equal(tokenizer.decode(encoding.latent).sample, tokenizer.decoder(texture))


@pytest.mark.parametrize("routing", ROUTINGS.values(), ids=ROUTINGS)
def test_pixels_write_the_semantic_band_only_where_nothing_is_isolated(routing: Routing) -> None:
    tokenizer = small_tokenizer(replace(LARGER, semantic_channels=6), routing.name).eval()
    with torch.no_grad():
        tokenizer.semantics_to_decoder.weight.normal_()
    tokenizer(random_images(LARGER)).reconstruction.sum().backward()
    reached = tokenizer.to_semantic[1].weight.grad is not None
    assert reached == (not routing.streams_isolated)


@torch.no_grad()
def test_latent_positions_follow_the_image() -> None:
    """A change in the bottom left corner moves the latent there most (raster order survives every
    reshape).
    """
    tokenizer, images = small_tokenizer().eval(), random_images(count=1)
    changed = images.clone()
    changed[..., 24:, :8] = 1 - changed[..., 24:, :8]
    moved = (tokenizer.encode(changed).latent - tokenizer.encode(images).latent).abs().sum(1)[0]
    assert moved.argmax().item() == 3 * 4 + 0


@pytest.mark.parametrize("routing", ["orthogonal", "shared", "trunk-routed"])
@torch.no_grad()
def test_a_saved_tokenizer_is_whole_and_bit_equal(routing: str, tmp_path) -> None:
    tokenizer, images = small_tokenizer(routing=routing).eval(), random_images()
    tokenizer.save_pretrained(tmp_path)
    loaded = MuseTokenizer.from_pretrained(tmp_path).eval()
    state, again = tokenizer.state_dict(), loaded.state_dict()
    assert state.keys() == again.keys() and all(
        torch.equal(state[name], again[name]) for name in state
    )
    assert loaded.config.routing == routing
    assert torch.equal(loaded(images).reconstruction, tokenizer(images).reconstruction)
    written = json.loads((tmp_path / "config.json").read_text())
    assert "_name_or_path" not in written.get("backbone_config", {}), (
        "no path of this machine in the file"
    )


@torch.no_grad()
def test_a_routing_of_ones_own_is_saved_with_its_fields(tmp_path) -> None:
    own, images = Routing("open", attention_cut=False), random_images()
    tokenizer = small_tokenizer(routing=own).eval()
    assert tokenizer.routing == own
    tokenizer.save_pretrained(tmp_path)
    loaded = MuseTokenizer.from_pretrained(tmp_path).eval()
    assert loaded.routing == own and small_tokenizer().config.routing == "orthogonal"
    assert torch.equal(loaded(images).reconstruction, tokenizer(images).reconstruction)
    with pytest.raises(
        MuseError, match=r"cannot have the fields .*opened.*give a name of ROUTINGS"
    ):
        small_tokenizer(routing={"name": "open", "opened": True})


def test_a_checkpoint_that_lacks_a_weight_is_a_sentence(tmp_path) -> None:
    small_tokenizer().save_pretrained(tmp_path)
    file = next(tmp_path.glob("*.safetensors"))
    weights = load_file(file)
    del weights["connector.queries"]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(MuseError, match=r"lacks 1 weights .*connector.queries"):
        MuseTokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize("shape", [(48, 48), (32, 64), (64, 40), (16, 16)])
@torch.no_grad()
def test_other_resolutions_and_shapes_work(shape: tuple[int, int]) -> None:
    tokenizer = small_tokenizer().eval()
    output = tokenizer(torch.rand(2, 3, *shape), with_attention=True)
    rows, columns = shape[0] // 8, shape[1] // 8
    assert output.reconstruction.shape == (2, 3, *shape)
    assert output.latent.shape == (2, 8, rows, columns)
    assert output.attention[0].logits().shape == (2, 2, rows * columns, rows * columns)


@pytest.mark.parametrize("shape", [(33, 32), (32, 36), (30, 30)])
def test_images_that_are_not_whole_tokens_are_a_sentence(shape: tuple[int, int]) -> None:
    tokenizer = small_tokenizer()
    with pytest.raises(
        MuseError,
        match=f"Images of {shape[0]} x {shape[1]} pixels do not divide into tokens of 8 x 8",
    ):
        tokenizer(torch.rand(1, 3, *shape))
    with pytest.raises(MuseError, match="do not divide into tokens of 16 x 16"):
        small_tokenizer(LARGER).encode(torch.rand(1, 3, 72, 64))


def test_a_width_without_rotary_embedding_is_a_sentence() -> None:
    from dataclasses import replace

    with pytest.raises(MuseError, match="multiple of 4 x heads"):
        small_tokenizer(replace(TINY, width=36))


def test_unknown_routing_is_refused() -> None:
    with pytest.raises(MuseError, match="Unknown routing 'free': choose one of orthogonal, shared"):
        small_tokenizer(routing="free")


@torch.no_grad()
def test_a_decoder_of_another_scale_is_resized_to_the_images() -> None:
    tokenizer = small_tokenizer().eval()
    latent = torch.randn(1, 8, 4, 4)
    assert tokenizer.decode(latent).sample.shape == (1, 3, 32, 32)
    assert tokenizer.decode(latent, (48, 40)).sample.shape == (1, 3, 48, 40)


@torch.no_grad()
def test_a_decoder_in_bfloat16_is_resized_too() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        images = small_tokenizer().eval().decode(torch.randn(1, 8, 4, 4), (48, 40)).sample
    assert images.shape == (1, 3, 48, 40) and images.dtype == torch.float32


@torch.no_grad()
def test_a_picture_is_encoded_and_decoded_as_its_pixels_are() -> None:
    tokenizer = small_tokenizer(LARGER).eval()
    images = own_images("cat, coffee", LARGER.image_size).images
    expected, found = tokenizer.encode(images), tokenizer.encode_image(["cat", "coffee"])
    for name in ("latent", "semantic", "embedding"):
        assert torch.equal(getattr(found, name), getattr(expected, name))
    first, second = tokenizer.decode_image(found.latent)
    assert first.size == second.size == (LARGER.image_size,) * 2
    truth = tokenizer.decode(found.latent, tuple(images.shape[-2:])).sample.clamp(0, 1)
    decoded = torch.from_numpy(np.array(second)).permute(2, 0, 1) / 255
    assert (decoded - truth[1]).abs().max() <= 0.5 / 255 + 1e-6


def test_looking_at_a_picture_records_no_gradient() -> None:
    tokenizer = small_tokenizer().eval()
    encoding = tokenizer.encode_image("cat")
    assert not encoding.latent.requires_grad
    with pytest.raises(MuseError, match=r"no image file 'cta.jpg'"):
        tokenizer.encode_image("cta.jpg")
