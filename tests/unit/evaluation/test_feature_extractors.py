"""Each extractor gives what its network gives, on the grid it says, and rests while it
is measured.
"""

import pytest
import torch
from diffusers import AutoencoderDC
from torch import nn

from muse_core.errors import MuseError
from muse_core.evaluation.attention.student_teacher import student_attention
from muse_core.evaluation.feature_extractors import (
    CLASS_TOKEN,
    HIDDEN,
    LATENT,
    PATCHES,
    SEMANTIC,
    AutoencoderExtractor,
    BackboneExtractor,
    ChanceExtractor,
    TeacherExtractor,
    TokenizerExtractor,
    eval_mode,
)
from muse_core.foundations.backbone import Backbone
from muse_core.foundations.pixel_decoder import reconstruct_with
from muse_core.results.trained_code import folder_fingerprint
from tests.integration.micro import AUTOENCODER, BACKBONE
from tests.unit.models.small_models import LARGER, SIZES, TINY, random_images, small_tokenizer

from .small_evaluations import (
    GRID,
    chance_on,
    photographs,
    small_extractor,
    small_protocol,
    small_teacher,
)


def autoencoder() -> AutoencoderExtractor:
    return AutoencoderExtractor("autoencoder", AutoencoderDC(**AUTOENCODER).eval(), "a")


def backbone(projection: nn.Module | None = None) -> BackboneExtractor:
    return BackboneExtractor("backbone", Backbone(BACKBONE).eval(), "b", projection)


def teacher() -> TeacherExtractor:
    return TeacherExtractor("teacher", small_teacher(), "t", 2, GRID)


SUBJECTS = {
    "tokenizer": small_extractor,
    "autoencoder": autoencoder,
    "backbone": backbone,
    "teacher": teacher,
    "chance": lambda: chance_on(small_protocol()),
}


@pytest.mark.parametrize("make", SUBJECTS.values(), ids=SUBJECTS)
def test_every_subject_keeps_to_the_interface(make) -> None:
    extractor, images = make(), photographs(32)[:3]
    with eval_mode(extractor.network):
        seen, blind = extractor.features(images), extractor.features(images, pixels=False)
        maps = extractor.attention(images)
    assert (
        seen.tokens.keys() == seen.grid.keys()
        and {extractor.probed, extractor.segmented} <= seen.tokens.keys()
    )
    for name, tokens in seen.tokens.items():
        rows, columns = seen.grid[name]
        assert tokens.shape[:2] == (3, rows * columns)
    assert seen.reconstruction is None or seen.reconstruction.shape == images.shape
    assert blind.reconstruction is None and blind.tokens.keys() == seen.tokens.keys()
    for each in maps or ():
        assert each.shape[0] == 3 and torch.allclose(
            each.sum(-1), torch.ones(each.shape[:-1]), atol=1e-5
        )


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_a_tokenizer_is_seen_as_its_forward_pass_gives_it(size) -> None:
    tokenizer, images = small_tokenizer(size).eval(), random_images(size)
    with torch.no_grad():
        seen, output = TokenizerExtractor("t", tokenizer, "").features(images), tokenizer(images)
    assert torch.equal(seen.reconstruction, output.reconstruction) and torch.equal(
        seen.embedding, output.embedding
    )
    assert torch.equal(seen.tokens[SEMANTIC], output.semantic)
    assert torch.equal(seen.tokens[LATENT], output.latent.flatten(2).transpose(1, 2))
    assert torch.equal(seen.tokens[PATCHES], tokenizer.backbone(images))
    assert seen.tokens[HIDDEN].shape[-1] == size.width
    patches, tokens = tokenizer.patch_grid(images), tokenizer.token_grid(images)
    assert seen.grid == dict.fromkeys(seen.tokens, tokens) | {PATCHES: patches}


def test_a_tokenizers_attention_is_the_softmax_of_its_logits() -> None:
    tokenizer, images = small_tokenizer(LARGER).eval(), random_images(LARGER)
    maps = TokenizerExtractor("t", tokenizer, "").attention(images)
    layers = tokenizer(images, with_attention=True).attention
    assert len(maps) == LARGER.num_blocks
    assert all(
        torch.allclose(m, torch.softmax(each.logits(), -1), atol=1e-6)
        for m, each in zip(maps, layers, strict=True)
    )
    assert all(
        torch.equal(a, b) for a, b in zip(maps, student_attention(tokenizer, images), strict=True)
    )


def test_a_saved_tokenizer_comes_back_and_its_fingerprint_is_its_folders(tmp_path) -> None:
    tokenizer, images = small_tokenizer().eval(), random_images()
    tokenizer.save_pretrained(tmp_path)
    extractor = TokenizerExtractor.from_pretrained("t", tmp_path)
    with torch.no_grad():
        assert torch.equal(
            extractor.features(images).reconstruction, tokenizer(images).reconstruction
        )
    assert extractor.fingerprint == folder_fingerprint(tmp_path) and not extractor.network.training


def test_a_backbone_is_seen_without_its_class_token_which_is_pooled() -> None:
    projection = nn.Linear(32, 16, bias=False)
    extractor, images = backbone(projection), random_images()
    with torch.no_grad():
        seen, hidden = extractor.features(images), extractor.network.all_tokens(images)
        assert torch.equal(seen.tokens[PATCHES], hidden[:, 1:]) and torch.equal(
            seen.pooled[CLASS_TOKEN], hidden[:, 0]
        )
        assert torch.equal(seen.embedding, projection(hidden[:, 1:].mean(1)))
    assert backbone().features(images).embedding is None and seen.reconstruction is None


def test_an_autoencoder_is_seen_as_it_reconstructs() -> None:
    extractor, images = autoencoder(), random_images()
    with torch.no_grad():
        seen = extractor.features(images)
        assert torch.equal(seen.reconstruction, reconstruct_with(extractor.network, images))
    assert (
        seen.grid == {LATENT: (4, 4)}
        and seen.embedding is None
        and extractor.attention(images) is None
    )


def test_a_teachers_attention_is_what_a_student_gets() -> None:
    maps = teacher().attention(random_images())
    assert len(maps) == 6 and all(each.shape == (4, 2, 16, 16) for each in maps)


def test_chance_shows_the_mean_image_and_the_same_numbers_for_the_same_images() -> None:
    chance, images = (
        ChanceExtractor(torch.full((1, 3, 32, 32), 0.3), TINY.embedding_width, GRID),
        photographs(32),
    )
    first, again, other = (
        chance.features(images),
        chance.features(images),
        chance.features(images * 0.9),
    )
    assert torch.equal(first.reconstruction, torch.full_like(images, 0.3))
    assert torch.equal(first.tokens[chance.probed], again.tokens[chance.probed])
    assert torch.equal(first.embedding, again.embedding)
    assert not torch.equal(first.embedding, other.embedding)
    (attention,) = chance.attention(images)
    assert attention.shape == (12, 1, 16, 16) and attention.unique().tolist() == [1 / 16]


def test_chances_numbers_leave_the_global_ones_alone() -> None:
    chance, state = chance_on(small_protocol()), torch.get_rng_state()
    chance.features(photographs(32))
    assert torch.equal(torch.get_rng_state(), state)


def test_chances_mean_image_and_grid_are_in_its_fingerprint() -> None:
    """Otherwise a remembered row of another run, with other training images, would be taken for
    this one's.
    """
    grey, dark = torch.full((1, 3, 32, 32), 0.5), torch.zeros(1, 3, 32, 32)
    given = [(grey, 16, GRID), (dark, 16, GRID), (grey, 8, GRID), (grey, 16, (2, 2))]
    assert len({ChanceExtractor(*each).fingerprint for each in given}) == 4
    assert (
        ChanceExtractor(grey, 16, GRID).fingerprint
        == ChanceExtractor(grey.clone(), 16, GRID).fingerprint
    )


def test_a_folders_fingerprint_changes_with_a_weight_a_configuration_and_a_name(tmp_path) -> None:
    tokenizer = small_tokenizer()
    prints = []
    for change in (lambda: None, lambda: tokenizer.connector.blocks[0], lambda: None):
        if change() is not None:
            next(tokenizer.parameters()).data += 1e-3
        tokenizer.save_pretrained(tmp_path)
        prints.append(folder_fingerprint(tmp_path))
    assert prints[0] != prints[1] == prints[2]
    (tmp_path / "config.json").write_text((tmp_path / "config.json").read_text() + " ")
    assert folder_fingerprint(tmp_path) != prints[2]
    (tmp_path / "README.md").write_text("words")
    (tmp_path / "config.json").rename(tmp_path / "other.json")
    assert folder_fingerprint(tmp_path) != prints[2]


def test_a_folder_without_weights_is_refused(tmp_path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(MuseError, match="holds no weights to evaluate"):
            folder_fingerprint(folder)


def test_networks_rest_inside_and_are_as_found_afterwards_even_after_an_error() -> None:
    network = nn.Sequential(nn.Dropout(0.5), nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 3)))
    network[1].eval()
    network[1][1].train()
    modes = [module.training for module in network.modules()]
    with pytest.raises(ZeroDivisionError), eval_mode(network):
        assert (
            not any(module.training for module in network.modules()) and not torch.is_grad_enabled()
        )
        raise ZeroDivisionError
    assert [module.training for module in network.modules()] == modes and torch.is_grad_enabled()
