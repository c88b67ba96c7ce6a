"""Any network from where it lies: opened by what its config.json says, shown images at its size,
measured as its own forward pass would be, refused in a sentence.
"""

import json
import re
from dataclasses import replace
from pathlib import Path

import diffusers
import pytest
import timm
import torch
import torch.nn.functional as F
from huggingface_hub.errors import LocalEntryNotFoundError
from timm.models import save_for_hf

from muse_core import paths
from muse_core.baselines.systems import SYSTEMS
from muse_core.baselines.va_vae import VaVae
from muse_core.config.overrides import load_preset
from muse_core.config.preset import Preset
from muse_core.data.scenes import Scenes
from muse_core.errors import MuseError
from muse_core.evaluation.evaluate import evaluate
from muse_core.evaluation.feature_extractors import LATENT, PATCHES, SEMANTIC, eval_mode
from muse_core.evaluation.named_network import (
    AUTOENCODERS,
    BY_CLASS,
    NamedNetwork,
    named_network,
)
from muse_core.evaluation.network_place import NetworkPlace, network_place
from muse_core.evaluation.reconstruction.pixel_metrics import eight_bits
from muse_core.foundations import parts
from tests.integration.micro import AUTOENCODER
from tests.unit.models.small_models import small_tokenizer

from .small_evaluations import Changed, photographs, small_protocol

SIDE = 32
BLOCKS = dict(
    down_block_types=["DownEncoderBlock2D"] * 3,
    up_block_types=["UpDecoderBlock2D"] * 3,
    block_out_channels=[8, 8, 16],
    norm_num_groups=4,
    latent_channels=4,
)
SAVED = {
    "AutoencoderKL": BLOCKS,
    "AutoencoderDC": AUTOENCODER,
    "AutoencoderRAE": dict(
        encoder_hidden_size=64,
        encoder_patch_size=14,
        encoder_num_hidden_layers=1,
        decoder_hidden_size=32,
        decoder_num_hidden_layers=1,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=32,
        patch_size=16,
        encoder_input_size=56,
    ),
    "VQModel": BLOCKS | dict(num_vq_embeddings=16),
    "AutoencoderTiny": dict(
        encoder_block_out_channels=[8] * 3,
        decoder_block_out_channels=[8] * 3,
        num_encoder_blocks=[1] * 3,
        num_decoder_blocks=[1] * 3,
    ),
}
"""Small ones of every class that is evaluated."""


@pytest.fixture
def preset() -> Preset:
    return replace(load_preset("tiny"), image_size=SIDE)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No hub; the list of what was asked of it."""
    asked: list[str] = []

    def refuse(hub_id: str, **_: object) -> str:
        asked.append(hub_id)
        raise LocalEntryNotFoundError("no network")

    monkeypatch.setattr(parts, "snapshot_download", refuse)
    return asked


def saved(kind: str, folder: Path) -> torch.nn.Module:
    network = getattr(diffusers, kind)(**SAVED[kind]).eval()
    network.save_pretrained(folder)
    return network


def opened(given: object, preset: Preset) -> NamedNetwork:
    return named_network(network_place(str(given)), preset)


def test_every_class_of_autoencoders_is_tried_here() -> None:
    assert SAVED.keys() == AUTOENCODERS.keys()


def by_hand(kind: str, network: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Reconstructions by the network's own forward pass, in [0, 1]."""
    if kind == "AutoencoderRAE":
        shown = F.interpolate(images, (56, 56), mode="bicubic", antialias=True).clamp(0, 1)
        return F.interpolate(network(shown).sample, (SIDE, SIDE), mode="bicubic", antialias=True)
    if kind == "AutoencoderTiny":
        latent = network.encode(images * 2 - 1).latents
        return network.decode(latent).sample / 2 + 0.5
    return network(images * 2 - 1).sample / 2 + 0.5


@pytest.mark.parametrize("kind", SAVED)
def test_psnr_is_that_of_the_networks_own_forward_pass(kind, tmp_path, preset) -> None:
    original = saved(kind, tmp_path / "saved")
    network = opened(tmp_path / "saved", preset)
    assert network.name == f"saved ({kind})" and network.probed == network.segmented == LATENT
    protocol = small_protocol(n_train=20, n_test=12, n_dense=8)
    row = evaluate(network, protocol).row
    images = protocol.test.first(12).images
    with torch.no_grad():
        remade = eight_bits(by_hand(kind, original, images))
    errors = (remade - eight_bits(images)).square().mean((1, 2, 3))
    assert row.value("psnr") == pytest.approx((-10 * errors.log10()).mean().item(), abs=1e-3)
    assert row.value("linear_probe") is not None and row.value("miou") is not None
    why = "this network has no embedding in the text space"
    assert row.measurements["zero_shot"].protocol == why


@pytest.mark.parametrize("kind", SAVED)
def test_the_latent_is_what_the_decoder_reads_on_its_grid(kind, tmp_path, preset) -> None:
    saved(kind, tmp_path)
    network, images = opened(tmp_path, preset), photographs(SIDE)[:2]
    with torch.no_grad():
        seen, blind = network.features(images), network.features(images, pixels=False)
    rows, columns = seen.grid[LATENT]
    assert seen.tokens[LATENT].shape[:2] == (2, rows * columns)
    assert seen.reconstruction.shape == images.shape and blind.reconstruction is None


def test_a_discrete_latent_is_of_vectors_of_the_codebook(tmp_path, preset) -> None:
    codes = saved("VQModel", tmp_path).quantize.embedding.weight
    with torch.no_grad():
        tokens = opened(tmp_path, preset).features(photographs(SIDE)[:2]).tokens[LATENT]
        apart = (tokens.flatten(0, 1)[:, None] - codes).abs().amax(-1)
    assert apart.min(dim=1).values.max() < 1e-6


@pytest.mark.parametrize(("kind", "side"), [("AutoencoderKL", 32), ("AutoencoderDC", 32)])
def test_images_that_do_not_divide_are_shown_larger_and_brought_back(
    kind, side, tmp_path, preset
) -> None:
    saved(kind, tmp_path)
    network = opened(tmp_path, replace(preset, image_size=30))
    images = photographs(30)[:2]
    with torch.no_grad():
        assert network.features(images).reconstruction.shape == images.shape
    assert network.side == side
    assert network.note(30) == (
        "images of 30 px shown to it at 32 px, its reconstructions of 32 px resized"
    )


def test_images_of_the_networks_size_are_left_alone(tmp_path, preset) -> None:
    saved("AutoencoderKL", tmp_path)
    network, images = opened(tmp_path, preset), photographs(SIDE)[:2]
    assert network.fitted(images) is images and network.note(SIDE) == ""


def test_a_representation_autoencoder_is_shown_its_own_size(tmp_path, preset) -> None:
    saved("AutoencoderRAE", tmp_path)
    assert opened(tmp_path, preset).note(SIDE) == (
        "images of 32 px shown to it at 56 px, its reconstructions of 64 px resized"
    )


def test_a_tokenizer_is_found_in_a_folder_a_run_and_its_stage(
    tmp_path, preset, monkeypatch
) -> None:
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))
    folder = tmp_path / "data/runs/mine/01_topology_warmup/tokenizer"
    small_tokenizer().save_pretrained(folder)
    for given in (folder, "mine", tmp_path / "data/runs/mine"):
        network = opened(given, preset)
        assert network.name == "mine, 01_topology_warmup (MuseTokenizer)"
        assert network.probed == SEMANTIC and network.side == SIDE
    row = evaluate(network, small_protocol(n_train=20, n_test=12, n_dense=8)).row
    assert row.value("psnr") is not None and row.value("attention_auc") is not None


def test_an_embedding_of_another_text_space_is_said(tmp_path, preset) -> None:
    small_tokenizer().save_pretrained(tmp_path)
    classes = F.normalize(torch.randn(10, 24), dim=-1)
    row = evaluate(opened(tmp_path, preset), small_protocol(classes=classes)).row
    assert row.value("zero_shot") is None
    assert (
        "16 wide and that of the preset's text tower 24" in row.measurements["zero_shot"].protocol
    )


def test_a_saved_system_is_read_as_its_class_says(tmp_path, preset) -> None:
    assert BY_CLASS.keys() == {kind.__name__ for kind in SYSTEMS.values()}
    VaVae(feature_width=16, image_size=SIDE).save_pretrained(tmp_path / "aligned")
    network = opened(tmp_path / "aligned", preset)
    assert network.probed == VaVae.probed and network.name == f"aligned ({VaVae.words})"
    images = photographs(SIDE)[:2]
    with torch.no_grad():
        assert network.features(images).reconstruction.shape == images.shape


def test_a_backbone_with_its_projection_names_images(preset) -> None:
    network = opened(paths.foundations("tiny") / "backbone", load_preset("tiny"))
    images = Scenes("test", 64).first(4).images
    with eval_mode(network.network):
        seen = network.features(images)
    assert seen.embedding is not None and seen.grid[PATCHES] == (8, 8)
    assert network.note(64) == "" and network.attention(images)[0].shape[-1] == 64


def test_a_vision_transformer_of_another_patch_sees_whole_patches(tmp_path, preset) -> None:
    sizes = dict(img_size=42, patch_size=14, embed_dim=32, depth=1, num_heads=2)
    vit = timm.create_model("vit_tiny_patch16_224", num_classes=5, **sizes)
    save_for_hf(vit, tmp_path, model_args=sizes, safe_serialization=True)
    network = opened(tmp_path, preset)
    assert network.note(SIDE) == "images of 32 px shown to it at 42 px"
    with torch.no_grad():
        assert network.features(photographs(SIDE)[:2]).grid[PATCHES] == (3, 3)


def test_a_name_of_timm_is_opened_with_timms_weights(preset, monkeypatch) -> None:
    made, real = [], timm.create_model

    def create(name: str, pretrained: bool = False, **options: object) -> torch.nn.Module:
        made.append(pretrained)
        return real(name, pretrained=False, **options)

    monkeypatch.setattr(timm, "create_model", create)
    network = opened("timm:vit_tiny_patch16_224", preset)
    assert made[0] and network.name == "timm:vit_tiny_patch16_224 (VisionTransformer)"
    assert network.fingerprint == "timm:vit_tiny_patch16_224, 32 px" and network.note(SIDE) == ""


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"model_type": "mine", "auto_map": {"AutoModel": "evil.Model"}}, "auto_map"),
        ({"_class_name": ["evil", "Model"]}, "_class_name"),
        ({"_class_name": "AutoencoderKL", "auto_map": {"AutoModel": "evil.Model"}}, "auto_map"),
    ],
)
def test_code_of_its_own_is_refused_and_not_run(config, named, tmp_path, preset) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "evil.py").write_text("raise AssertionError('remote code was run')")
    with pytest.raises(MuseError, match=rf"needs code of its own \({named} in its config.json\)"):
        opened(tmp_path, preset)


def test_code_of_its_own_on_the_hub_is_refused_before_weights_are_fetched(
    tmp_path, preset, monkeypatch
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"auto_map": {"AutoModel": "evil.Model"}}))
    asked = []

    def fetch(hub_id: str, allow_patterns: list[str], **_: object) -> str:
        asked.append(allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr(parts, "snapshot_download", fetch)
    with pytest.raises(MuseError, match="owner/name needs code of its own"):
        opened("owner/name", preset)
    assert asked == [["config.json"]]


def test_an_internvl_that_names_code_is_read_without_it(tmp_path, preset) -> None:
    """The published ones name code that nothing here needs."""
    config = {"model_type": "internvl_chat", "auto_map": {"AutoModel": "evil.Model"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(MuseError, match="holds no weights"):
        opened(tmp_path, preset)


@pytest.mark.parametrize(
    "config",
    [{"_class_name": "UNet2DModel"}, {"model_type": "bert"}, {"architectures": ["Mine"]}, {}],
)
def test_an_unknown_class_is_a_sentence_with_those_that_are_known(config, tmp_path, preset) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(MuseError, match="is not evaluated here") as caught:
        opened(tmp_path, preset)
    said = str(caught.value)
    assert all(name in said for name in (*AUTOENCODERS, *BY_CLASS, "MUSE tokenizer", "timm:NAME"))


def test_a_pickle_alone_is_refused(tmp_path, preset) -> None:
    saved("AutoencoderKL", tmp_path)
    (tmp_path / "diffusion_pytorch_model.safetensors").rename(
        tmp_path / "diffusion_pytorch_model.bin"
    )
    with pytest.raises(MuseError, match="a pickle, which can run code"):
        opened(tmp_path, preset)


def test_damaged_and_absent_weights_are_a_sentence(tmp_path, preset) -> None:
    saved("AutoencoderKL", tmp_path)
    weights = tmp_path / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(MuseError, match="cannot be read"):
        opened(tmp_path, preset)
    weights.unlink()
    with pytest.raises(MuseError, match="holds no weights"):
        opened(tmp_path, preset)


def test_weights_of_another_size_are_a_sentence(tmp_path, preset) -> None:
    saved("AutoencoderKL", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"latent_channels": 6}))
    with pytest.raises(MuseError, match="take both from the same model"):
        opened(tmp_path, preset)


def test_a_network_of_other_channels_is_refused(tmp_path, preset) -> None:
    diffusers.AutoencoderKL(**BLOCKS, in_channels=1, out_channels=1).save_pretrained(tmp_path)
    with pytest.raises(MuseError, match="reads 1 channels, and images have 3"):
        opened(tmp_path, preset)


def test_images_that_a_network_refuses_are_a_sentence(tmp_path, preset) -> None:
    saved("AutoencoderKL", tmp_path)
    network = opened(tmp_path, preset)
    network.network.encoder.conv_in = torch.nn.Conv2d(5, 8, 1)
    with pytest.raises(MuseError, match="takes no images of 32 x 32 pixels"):
        network.note(SIDE)


def test_a_hub_id_without_a_network_is_a_sentence(offline, preset) -> None:
    with pytest.raises(MuseError, match=r"(?s)owner/name.*hub cannot be reached.*hf download"):
        opened("owner/name", preset)
    assert offline == ["owner/name"]


def test_what_is_no_network_is_told_by_its_place(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))
    (tmp_path / "text.txt").write_text("words")
    (tmp_path / "empty").mkdir()
    (tmp_path / "pipeline/vae").mkdir(parents=True)
    (tmp_path / "pipeline/vae/config.json").write_text("{}")
    for given, sentence in {
        str(tmp_path / "text.txt"): "is a file: give the folder that it lies in",
        str(tmp_path / "empty"): "holds no config.json",
        str(tmp_path / "pipeline"): "is no network, but holds some: give one of vae in it",
        str(tmp_path / "nowhere"): "There is no network",
        "nowhere": "There is no network 'nowhere'",
        "a/b/c": "There is no network",
        "./nowhere": "There is no network",
    }.items():
        with pytest.raises(MuseError, match=re.escape(sentence)):
            network_place(given)


def test_a_config_that_is_no_json_is_a_sentence(tmp_path, preset) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(MuseError, match=r"cannot be read \(config.json"):
        opened(tmp_path, preset)


def test_a_title_and_a_file_name_hold_no_place_of_this_machine(tmp_path) -> None:
    place = NetworkPlace(str(tmp_path / "my vae"), tmp_path / "my vae")
    assert (place.title, place.file_stem) == ("my vae", "my-vae")
    assert NetworkPlace("owner/name.v2").file_stem == "owner-name.v2"
    assert NetworkPlace("timm:vit_small").file_stem == "timm-vit_small"
    assert NetworkPlace("/", Path("/")).file_stem == "network"


def test_every_batch_is_heard(tmp_path, preset) -> None:
    saved("AutoencoderTiny", tmp_path)
    network, heard = opened(tmp_path, preset), []
    network.heard = heard.append
    evaluate(network, small_protocol(train=Changed(split="train"), n_train=60, n_test=12))
    assert sorted(heard) == [10, 12, 50]
