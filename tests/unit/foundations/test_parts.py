"""Whatever is wrong with a checkpoint is one sentence that names the file or the weight and says
what to do.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)
from safetensors.torch import load_file, save_file

from muse_core.errors import MuseError
from muse_core.foundations import parts
from muse_core.foundations.backbone import Backbone
from muse_core.foundations.parts import TEACHER, open_part
from muse_core.foundations.pixel_decoder import load_autoencoder
from muse_core.foundations.text_tower import TextTower
from muse_core.foundations.topology_teacher import DinoV3Teacher

from ...published_layouts import write_all, write_internvl_hf

LOADERS: dict[str, Callable[[Path], object]] = {
    "backbone": Backbone.from_pretrained,
    "teacher": DinoV3Teacher.from_pretrained,
    "autoencoder": load_autoencoder,
    "text_tower": TextTower.from_pretrained,
}


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    write_all(folder)
    return folder


@pytest.fixture
def folder(intact: Path, tmp_path: Path) -> Path:
    import shutil

    return shutil.copytree(intact, tmp_path / "copy")


def first_shard(folder: Path) -> Path:
    return sorted(folder.glob("*-00001-of-*.safetensors"))[0]


def mend(file: Path, change: Callable[[dict], None]) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def lose_shard(folder: Path) -> None:
    first_shard(folder).unlink()


def lose_weights(folder: Path) -> None:
    for file in (*folder.glob("*.safetensors"), *folder.glob("*.index.json")):
        file.unlink()


def cut_shard(folder: Path) -> None:
    file = first_shard(folder)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def other_model(folder: Path) -> None:
    mend(
        folder / "config.json", lambda config: config.update(model_type="bert", _class_name="UNet")
    )


def no_json(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def other_colours(folder: Path) -> None:
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"image_mean": [0.5] * 3, "image_std": [0.5] * 3})
    )


@pytest.mark.parametrize("part", LOADERS)
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            lose_shard,
            r"lacks .*-00001-of-\d+\.safetensors, one of the \d+ files that .*index\.json lists: "
            "copy or download",
        ),
        (
            lose_weights,
            r"holds no weights: it needs model\.safetensors or diffusion_pytorch_model\.saf",
        ),
        (cut_shard, r"cannot be read \(.*\): copy or download it again"),
        (other_model, r"holds '(bert|UNet)', not an? (InternVL3|DINOv3|DC-AE|CLIP)"),
        (
            no_json,
            r"cannot be read \(config\.json: JSONDecodeError\): give a folder with config\.json",
        ),
    ],
)
def test_a_damaged_folder_is_a_sentence(
    folder: Path, part: str, damage: Callable[[Path], None], words: str
) -> None:
    damage(folder / part)
    with pytest.raises(MuseError, match=words) as caught:
        LOADERS[part](folder / part)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("part", "change", "words"),
    [
        (
            "backbone",
            lambda config: config["vision_config"].update(hidden_size=64),
            r"holds embeddings\.cls_token of shape \(1, 1, 32\), and its config\.json asks for "
            r"\(1, 1, 64\)",
        ),
        (
            "backbone",
            lambda config: config["vision_config"].update(num_hidden_layers=3),
            r"lacks 18 weights",
        ),
        (
            "backbone",
            lambda config: config["vision_config"].update(num_hidden_layers=1),
            r"holds 18 weights that its",
        ),
        (
            "teacher",
            lambda config: config.update(intermediate_size=96),
            r"holds .*mlp\.\w+\.weight of shape \(64, 64\), .*asks for \((64, 96|96, 64)\)",
        ),
        (
            "autoencoder",
            lambda config: config.update(latent_channels=16),
            r"holds .*shape .*asks for ",
        ),
        (
            "text_tower",
            lambda config: config.update(projection_dim=48),
            r"holds text_projection\.weight of shape \(24, 32\), and its config\.json asks for "
            r"\(48, 32\)",
        ),
    ],
)
def test_weights_that_do_not_fit_their_configuration_are_named(
    folder: Path, part: str, change: Callable[[dict], None], words: str
) -> None:
    mend(folder / part / "config.json", change)
    with pytest.raises(MuseError, match=words):
        LOADERS[part](folder / part)


@pytest.mark.parametrize("part", ["backbone", "teacher"])
def test_another_normalisation_of_the_images_is_a_sentence(folder: Path, part: str) -> None:
    other_colours(folder / part)
    with pytest.raises(
        MuseError,
        match=r"preprocessor_config\.json gives image_mean \[0\.5, 0\.5, 0\.5\].*ImageNet",
    ):
        LOADERS[part](folder / part)


def test_biases_are_not_lost_where_the_configuration_does_not_name_them(tmp_path: Path) -> None:
    """transformers' default has none, and would leave those of the checkpoint unread."""
    written = write_internvl_hf(tmp_path)
    mend(tmp_path / "config.json", lambda config: config["vision_config"].pop("attention_bias"))
    name = "encoder.layer.0.attention.q_proj.bias"
    loaded = Backbone.from_pretrained(tmp_path).network.state_dict()
    assert torch.equal(loaded[name], written.network.state_dict()[name])


def test_a_clip_without_its_words_is_a_sentence(folder: Path) -> None:
    for file in (folder / "text_tower").glob("*token*"):
        file.unlink()
    with pytest.raises(
        MuseError, match=r"has no tokenizer: put tokenizer\.json, or vocab\.json and merges\.txt"
    ):
        TextTower.from_pretrained(folder / "text_tower")


class Answer:
    """What an HTTP error carries."""

    status_code, headers, url, text, request = 403, {}, "", "", None


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            GatedRepoError("gated", response=Answer()),
            r"accept it on huggingface\.co/owner/name, log in with `hf auth login`.*"
            r"`-p teacher FOLDER`",
        ),
        (
            LocalEntryNotFoundError("offline"),
            r"not on this machine.*`hf download owner/name`.*`-p teacher FOLDER`",
        ),
        (
            RepositoryNotFoundError("none", response=Answer()),
            r"could not be fetched.*check the id.*`-p teacher FOLDER`",
        ),
        (HfHubHTTPError("500", response=Answer()), r"could not be fetched \(HfHubHTTPError\)"),
        (PermissionError("disk"), r"could not be fetched \(PermissionError\)"),
    ],
)
def test_a_hub_that_does_not_give_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    def refuse(*given: object, **options: object) -> str:
        raise error

    monkeypatch.setattr(parts, "snapshot_download", refuse)
    with pytest.raises(MuseError, match=words):
        open_part(TEACHER, "owner/name")


def test_only_weights_tokenizers_and_configurations_are_fetched(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {}

    def give(hub_id: str, allow_patterns: list[str]) -> str:
        asked[hub_id] = allow_patterns
        return str(folder / "teacher")

    monkeypatch.setattr(parts, "snapshot_download", give)
    assert DinoV3Teacher.from_pretrained("owner/name", blocks=2).layers == (2, 5)
    assert list(asked) == ["owner/name"] and not any(
        pattern.endswith((".py", ".bin")) for pattern in asked["owner/name"]
    )


def test_what_is_neither_a_folder_nor_a_hub_id_is_a_sentence() -> None:
    with pytest.raises(
        MuseError, match=r"'myfolder' is neither a folder nor a hub id \(OWNER/NAME\)"
    ):
        open_part(TEACHER, "myfolder")
    with pytest.raises(MuseError, match=r"folder my/own/folder does not exist: .*or a hub id"):
        open_part(TEACHER, "my/own/folder")


def test_a_single_file_is_as_good_as_shards(folder: Path) -> None:
    place = folder / "backbone"
    weights: dict[str, torch.Tensor] = {}
    for file in place.glob("*.safetensors"):
        weights |= load_file(file)
    expected = Backbone.from_pretrained(place).state_dict()
    lose_weights(place)
    save_file(weights, place / "model.safetensors", metadata={"format": "pt"})
    assert all(
        torch.equal(value, expected[name])
        for name, value in Backbone.from_pretrained(place).state_dict().items()
    )
