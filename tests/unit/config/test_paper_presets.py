"""The paper's sizes: parts built on the meta device have the published numbers of parameters, and
fit each other.
"""

import pytest
import timm
import torch
from diffusers import AutoencoderDC
from torch import nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    DINOv3ViTConfig,
    DINOv3ViTModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from benchmarks.published import (
    AUTOENCODER,
    BACKBONES,
    CLIP_TEXT,
    CLIP_TEXTS,
    INTERNVIT,
    LANGUAGE_MODELS,
    TEACHERS,
)
from muse_core.config.preset import Preset, denoiser_named
from muse_core.config.presets import preset_named
from muse_core.config.stage import PIXEL_LOSSES
from muse_core.foundations.backbone import Backbone
from muse_core.foundations.pixel_decoder import PixelDecoder
from muse_core.generation.denoiser import build_denoiser
from muse_core.models.assembly import new_tokenizer
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.unified.drawer import Drawer, Understood
from muse_core.unified.drawing_connector import DrawingConnector
from muse_core.unified.projector import VisualProjector

SIZES = ("muse-1b", "muse-3b")


def millions(network: nn.Module) -> float:
    return sum(weight.numel() for weight in network.parameters()) / 1e6


def full_size_tokenizer(preset: Preset) -> MuseTokenizer:
    return new_tokenizer(preset, INTERNVIT, AUTOENCODER, CLIP_TEXT["projection_dim"])


@pytest.fixture(autouse=True)
def meta() -> None:
    with torch.device("meta"):
        yield


def test_pretrained_parts_have_their_published_sizes() -> None:
    assert millions(Backbone(INTERNVIT)) == pytest.approx(304.01, abs=0.01)
    autoencoder = AutoencoderDC(**AUTOENCODER)
    assert millions(PixelDecoder(dict(autoencoder.config))) == pytest.approx(159.22, abs=0.01)
    assert millions(autoencoder) == pytest.approx(312.25, abs=0.01)
    assert millions(CLIPTextModelWithProjection(CLIPTextConfig(**CLIP_TEXT))) == pytest.approx(
        123.65, abs=0.01
    )
    large, huge = (millions(DINOv3ViTModel(DINOv3ViTConfig(**TEACHERS[name]))) for name in SIZES)
    assert large == pytest.approx(303.13, abs=0.01) and huge == pytest.approx(840.59, abs=0.01)


@pytest.mark.parametrize("name", SIZES)
def test_the_whole_tokenizer_is_its_parts_and_a_connector_counted_by_hand(name: str) -> None:
    preset = preset_named(name)
    shape, tokenizer = preset.connector, full_size_tokenizer(preset)
    width, joined, latent = shape.width, 4 * 1024, 32
    adapter, queries = joined + joined * width, 16 * 16 * width
    head, hidden = width // shape.num_heads, int(8 / 3 * width)
    matrices = 5 * width**2 + 3 * width * hidden  # W_Q, W_K, two W_V, W_O; the three of SwiGLU
    norms = 4 * width + 2 * head
    expected = adapter + queries + shape.num_blocks * (matrices + norms)
    assert sum(weight.numel() for weight in tokenizer.connector.parameters()) == expected
    assert millions(tokenizer.to_latent) * 1e6 == width + width * latent + latent
    band = shape.semantic_channels
    assert millions(tokenizer.to_semantic) * 1e6 == width + width * band + band
    assert millions(tokenizer.semantics_to_decoder) * 1e6 == band * latent
    parts = (
        tokenizer.backbone,
        tokenizer.decoder,
        tokenizer.connector,
        tokenizer.to_latent,
        tokenizer.semantic_head,
        tokenizer.to_semantic,
        tokenizer.semantics_to_decoder,
    )
    assert millions(tokenizer) == pytest.approx(sum(map(millions, parts)))


@pytest.mark.parametrize("name", SIZES)
def test_images_of_224_pixels_give_8_x_8_latents_from_256_queries_and_come_back_at_224(
    name: str,
) -> None:
    preset = preset_named(name)
    tokenizer = full_size_tokenizer(preset)
    images = torch.rand(1, 3, preset.image_size, preset.image_size)
    output = tokenizer(images)
    assert output.latent.shape == (1, 32 + 16, 8, 8) and output.reconstruction.shape == images.shape
    assert tokenizer.decode(output.latent).sample.shape == (1, 3, 256, 256)
    assert tokenizer.connector.queries.shape == (1, 256, 512) and tokenizer.config.query_grid == 16
    assert tokenizer.encode(torch.rand(1, 3, 448, 448)).latent.shape == (1, 32 + 16, 16, 16)


@pytest.mark.parametrize("name", SIZES)
def test_the_teachers_heads_and_layers_fit_the_student(name: str) -> None:
    teacher, shape = TEACHERS[name], preset_named(name).connector
    assert (
        teacher["num_attention_heads"] % shape.num_heads == 0
        and teacher["num_hidden_layers"] >= shape.num_blocks
    )
    assert preset_named(name).image_size % teacher["patch_size"] == 0


@pytest.mark.parametrize(("name", "expected"), [("muse-1b", 592), ("muse-3b", 1604)])
def test_generators_are_sana_of_the_papers_size(name: str, expected: float) -> None:
    shape = denoiser_named(preset_named(name).generation.denoiser)
    assert millions(build_denoiser(shape, 32, 8, 2304)) == pytest.approx(expected, abs=1)


@pytest.mark.parametrize(
    ("name", "language", "projector"), [("muse-1b", 629.70, 1.26), ("muse-3b", 1776.28, 3.15)]
)
def test_the_language_side_is_internvl3s_and_reads_256_words(
    name: str, language: float, projector: float
) -> None:
    preset, config = preset_named(name), Qwen2Config(**LANGUAGE_MODELS[name])
    model = Qwen2ForCausalLM(config)
    assert millions(model) == pytest.approx(language, abs=0.01)
    tokenizer = full_size_tokenizer(preset)
    images = torch.rand(1, 3, 448, 448)
    tokens, grid = tokenizer.encode(images).semantic, tokenizer.token_grid(images)
    reads = VisualProjector(tokens.shape[-1], config.hidden_size, unshuffle=1)
    assert reads(tokens, grid).shape == (1, 256, config.hidden_size)
    assert reads.image_tokens(tokenizer.token_grid(torch.rand(1, 3, 224, 224))) == 64
    assert preset.language.image_side == preset.image_size // 28
    assert millions(reads) == pytest.approx(projector, abs=0.01)
    # InternVL3's own projector, on four patches of its vision tower.
    assert millions(VisualProjector(1024, config.hidden_size, 2)) == pytest.approx(
        {"muse-1b": 4.48, "muse-3b": 8.66}[name], abs=0.01
    )


@pytest.mark.parametrize(
    ("name", "connector", "sana"), [("muse-1b", 89.5, 592), ("muse-3b", 280.8, 1604)]
)
def test_the_drawing_side_is_unilips_connector_of_256_queries_on_sana(
    name: str, connector: float, sana: float
) -> None:
    preset, config = preset_named(name), Qwen2Config(**LANGUAGE_MODELS[name])
    shape = preset.drawing_connector
    assert shape.queries == 256
    made = DrawingConnector(config.to_dict(), shape.queries, shape.layers, 2304)
    assert millions(made.layers) == pytest.approx(connector, abs=0.1)
    channels = 32 + preset.connector.semantic_channels
    denoiser = build_denoiser(denoiser_named(preset.generation.denoiser), channels, 16, 2304)
    drawer = Drawer.of(made, denoiser)
    hidden = torch.empty(2, 300, config.hidden_size)
    there = torch.ones(2, 300, dtype=torch.bool)
    given = Understood(hidden, there)
    found = drawer(torch.empty(2, channels, 16, 16), torch.empty(2), given)
    assert found.shape == (2, channels, 16, 16)
    assert millions(drawer.denoiser) == pytest.approx(sana, abs=1)


def test_the_small_preset_is_made_of_parts_of_their_published_sizes_that_fit() -> None:
    preset = preset_named("muse-small")
    backbone, teacher = Backbone(BACKBONES["muse-small"]), TEACHERS["muse-small"]
    own = timm.create_model(preset.foundations.teacher.removeprefix("timm:"), num_classes=0)
    assert millions(backbone) == pytest.approx(85.84, abs=0.01)
    assert millions(own) == pytest.approx(22.06, abs=0.01)
    text = CLIPTextModelWithProjection(CLIPTextConfig(**CLIP_TEXTS["muse-small"]))
    assert millions(text) == pytest.approx(63.43, abs=0.01)
    # What stands for the teacher where costs are counted has its sizes.
    stand_in = DINOv3ViTModel(DINOv3ViTConfig(**teacher))
    assert millions(stand_in) == pytest.approx(millions(own), rel=0.03)
    assert own.num_prefix_tokens == 1 + teacher["num_register_tokens"] == 5
    assert own.blocks[0].attn.num_heads == preset.connector.num_heads == 6
    assert preset.foundations.teacher_image_size % own.patch_embed.patch_size[0] == 0

    tokenizer = new_tokenizer(preset, BACKBONES["muse-small"], AUTOENCODER, 512)
    images = torch.rand(1, 3, preset.image_size, preset.image_size)
    output = tokenizer(images)
    assert millions(tokenizer) == pytest.approx(258.2, abs=0.2)
    assert output.latent.shape == (1, 32 + 16, 8, 8) and output.embedding.shape == (1, 512)
    # The decoder's own size is the images': nothing is resized.
    assert tokenizer.decode(output.latent).sample.shape == images.shape
    shape = denoiser_named(preset.generation.denoiser)
    assert millions(build_denoiser(shape, 48, 8, 512)) == pytest.approx(116, abs=1)


def test_the_small_preset_decodes_few_images_of_a_step_and_at_least_two() -> None:
    for stage in preset_named("muse-small").curriculum:
        decoded = stage.batch_size * max(
            stage.shares[loss] for loss in PIXEL_LOSSES & {*stage.weights}
        )
        assert decoded == 4


def test_steps_rates_and_weights_are_the_papers() -> None:
    stages = preset_named("muse-1b").curriculum
    assert [stage.steps for stage in stages] == [50_000] * 3
    assert [stage.learning_rate for stage in stages] == [4e-4, 2e-4, 1e-5]
    assert [stage.weights["reconstruction"] for stage in stages] == [0.1, 0.1, 1.0]
    assert [stage.ema_decay for stage in stages] == [0.999] * 3
    assert [stage.steps for stage in preset_named("muse-3b").curriculum] == [75_000, 75_000, 50_000]


def test_a_tokenizer_saved_before_there_was_a_query_grid_still_has_its_images_grid() -> None:
    tokenizer = full_size_tokenizer(preset_named("muse-1b"))
    config = {key: value for key, value in tokenizer.config.items() if key != "query_grid"}
    older = MuseTokenizer.from_config(config)
    assert older.connector.query_grid == 8 and older.config.query_grid is None
