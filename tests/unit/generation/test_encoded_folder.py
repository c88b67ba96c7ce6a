"""A folder of images becomes shards: all of it, in order, once, whatever stops it on the way."""

import json
import os
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import torch
from PIL import Image

from muse_core.errors import MuseError
from muse_core.generation.encoded_folder import Manifest, encode_folder
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.results.tensor_files import read_stored
from tests.unit.models.small_models import small_tokenizer

NAMES = ["a/1.png", "a/2.png", "b/c/3.jpg", "b/d.png", "z.webp"]
COLUMNS = {"latent": [8, 4, 4], "embedding": [16], "semantic_mean": [32]}


@pytest.fixture(scope="module")
def tokenizer() -> MuseTokenizer:
    return small_tokenizer().eval().requires_grad_(False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five images in folders, two that cannot be read, and a file that is none."""
    root, random = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for name in NAMES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (40, 50, 3), np.uint8)).save(root / name)
    (root / "b" / "broken.png").write_bytes((root / NAMES[0]).read_bytes()[:99])
    (root / "zz.jpg").write_bytes(b"no image")
    (root / "notes.txt").write_text("words")
    return root


def encoded(folder: Path, into: Path, tokenizer: MuseTokenizer, **options) -> Manifest:
    given = {"batch_size": 2, "images_per_shard": 3} | options
    return encode_folder(folder, into, tokenizer, "fingerprint", **given)


def contents(into: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(into.iterdir())}


def test_every_image_is_encoded_in_the_order_of_names(folder, tmp_path, tokenizer) -> None:
    manifest = encoded(folder, tmp_path / "out", tokenizer)
    files = sorted((tmp_path / "out").glob("*.safetensors"))
    assert [file.name for file in files] == ["000000.safetensors", "000001.safetensors"]
    stored = [read_stored(file) for file in files]
    names = [name for _, note in stored for name in note["names"]]
    assert names == NAMES
    found = {key: torch.cat([tensors[key] for tensors, _ in stored]) for key in COLUMNS}
    truth = tokenizer.encode_image([folder / name for name in NAMES])
    for key, expected in (
        ("latent", truth.latent),
        ("embedding", truth.embedding),
        ("semantic_mean", truth.semantic.mean(1)),
    ):
        torch.testing.assert_close(found[key], expected, rtol=1e-4, atol=1e-5)
    said = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert said == manifest.model_dump()
    assert (said["tokenizer"], said["image_size"], said["fit"]) == ("fingerprint", 32, "crop")
    assert (said["listed"], said["encoded"], said["complete"]) == (7, 5, True)
    assert said["shapes"] == COLUMNS
    assert [shard["images"] for shard in said["shards"].values()] == [2, 3]


def test_what_is_left_out_is_listed_with_its_reason(folder, tmp_path, tokenizer) -> None:
    manifest = encoded(folder, tmp_path / "out", tokenizer)
    assert [*manifest.unreadable] == ["b/broken.png", "zz.jpg"]
    assert manifest.unreadable["zz.jpg"].startswith("zz.jpg cannot be used as an image")
    assert "b/broken.png cannot be used" in manifest.unreadable["b/broken.png"]
    assert len(manifest.not_used) == 1 and "notes.txt" in manifest.not_used[0]


@pytest.mark.parametrize("format", ["safetensors", "parquet"])
def test_an_interrupted_run_goes_on_to_the_same_files(
    format, folder, tmp_path, tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded(folder, tmp_path / "whole", tokenizer, format=format)
    batches, encode = [], tokenizer.encode

    def stopping(images: torch.Tensor):
        batches.append(len(images))
        if len(batches) == 3:
            raise KeyboardInterrupt
        return encode(images)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(tokenizer, "encode", stopping)
        encoded(folder, tmp_path / "out", tokenizer, format=format)
    begun = contents(tmp_path / "out")
    assert [*begun] == [f"000000.{format}", "manifest.json"]
    assert json.loads(begun["manifest.json"])["complete"] is False
    batches.clear()
    monkeypatch.setattr(tokenizer, "encode", lambda images: batches.append(1) or encode(images))
    encoded(folder, tmp_path / "out", tokenizer, format=format)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    # Nothing of the first shard was encoded again.
    assert len(batches) == 2
    encoded(folder, tmp_path / "out", tokenizer, format=format)
    assert len(batches) == 2


def test_a_shard_that_is_gone_or_cut_is_written_again(folder, tmp_path, tokenizer) -> None:
    encoded(folder, tmp_path, tokenizer)
    whole = contents(tmp_path)
    (tmp_path / "000000.safetensors").write_bytes(whole["000000.safetensors"][:-1])
    (tmp_path / "000001.safetensors").unlink()
    encoded(folder, tmp_path, tokenizer)
    assert contents(tmp_path) == whole


@pytest.mark.parametrize(
    "left", [".manifest.json.7.tmp", ".000000.safetensors.7.tmp", ".write-test-7"]
)
def test_what_a_killed_process_left_half_written_is_cleared_away(
    left, folder, tmp_path, tokenizer
) -> None:
    (tmp_path / left).write_bytes(b"half")
    assert encoded(folder, tmp_path, tokenizer).complete
    assert left not in contents(tmp_path)


def test_parquet_holds_the_same_numbers(folder, tmp_path, tokenizer) -> None:
    encoded(folder, tmp_path / "tensors", tokenizer)
    manifest = encoded(folder, tmp_path / "rows", tokenizer, format="parquet")
    table = pyarrow.parquet.read_table(tmp_path / "rows" / "000000.parquet")
    tensors, note = read_stored(tmp_path / "tensors" / "000000.safetensors")
    assert table.column_names == ["name", *COLUMNS]
    assert table["name"].to_pylist() == note["names"]
    for name, shape in manifest.shapes.items():
        rows = np.stack(table[name].to_numpy()).reshape(-1, *shape)
        assert rows.dtype == np.float32 and np.array_equal(rows, tensors[name].numpy())


def test_images_read_by_other_processes_give_the_same_files(folder, tmp_path, tokenizer) -> None:
    encoded(folder, tmp_path / "one", tokenizer)
    encoded(folder, tmp_path / "two", tokenizer, workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_images_that_are_all_unreadable_leave_no_shard(tmp_path, tokenizer) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "x.png").write_bytes(b"")
    manifest = encoded(tmp_path / "photos", tmp_path / "out", tokenizer)
    assert (manifest.encoded, manifest.complete) == (0, True) and [*manifest.unreadable] == [
        "x.png"
    ]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["manifest.json"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"images_per_shard": 2}, "written with images_per_shard 3, and now it is 2"),
        ({"format": "parquet"}, "written with format 'safetensors', and now it is 'parquet'"),
        ({"format": "tar"}, "Unknown format 'tar': choose one of safetensors, parquet"),
        ({"batch_size": 0}, "give positive numbers"),
    ],
)
def test_another_command_into_the_same_folder_is_a_sentence(
    options, words, folder, tmp_path, tokenizer
) -> None:
    encoded(folder, tmp_path, tokenizer)
    before = contents(tmp_path)
    with pytest.raises(MuseError, match=words):
        encoded(folder, tmp_path, tokenizer, **options)
    assert contents(tmp_path) == before


def test_a_folder_that_changed_or_cannot_be_is_a_sentence(folder, tmp_path, tokenizer) -> None:
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "photos" / "a.png")
    encoded(tmp_path / "photos", tmp_path / "out", tokenizer)
    Image.new("RGB", (9, 9)).save(tmp_path / "photos" / "b.png")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x.txt").touch()
    (tmp_path / "out2").mkdir()
    (tmp_path / "out2" / "manifest.json").write_text("{}")
    (tmp_path / "out3").mkdir()
    (tmp_path / "out3" / "manifest.json").write_text('{"tokenizer"')
    for given, into, words in (
        ("photos", "out", "2 images instead of 1"),
        ("photos", "photos", "is the folder of the images itself"),
        ("photos", "full", "is not empty"),
        ("photos", "out2", "is not what `muse encode` writes"),
        ("photos", "out3", "is not what `muse encode` writes"),
        ("full", "other", "holds no image"),
        ("nowhere", "other", "There is no folder"),
    ):
        with pytest.raises(MuseError, match=words):
            encoded(tmp_path / given, tmp_path / into, tokenizer)


def test_hidden_files_of_others_are_left_alone(folder, tmp_path, tokenizer) -> None:
    (tmp_path / ".env.tmp").write_text("mine")
    with pytest.raises(MuseError, match="is not empty"):
        encoded(folder, tmp_path, tokenizer)
    (tmp_path / ".env.tmp").rename(tmp_path.with_suffix(".kept"))
    encoded(folder, tmp_path, tokenizer)
    (tmp_path / ".env.tmp").write_text("mine")
    encoded(folder, tmp_path, tokenizer)
    assert (tmp_path / ".env.tmp").read_text() == "mine"


def test_names_that_read_alike_are_refused(folder, tmp_path, tokenizer) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    try:
        for name in (b"caf\xe9.png", "café.png".encode()):
            (photos / os.fsdecode(name)).write_bytes((folder / NAMES[0]).read_bytes())
    except OSError:
        pytest.skip("names are UTF-8 on this disk")
    with pytest.raises(MuseError, match="read alike"):
        encoded(photos, tmp_path / "out", tokenizer)


def test_latents_that_are_not_finite_are_a_sentence(
    folder, tmp_path, tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = tokenizer.encode
    monkeypatch.setattr(tokenizer, "encode", lambda images: encode(images * torch.nan))
    with pytest.raises(MuseError, match=r"The latent of a/1.png or of an image after it"):
        encoded(folder, tmp_path, tokenizer)
    assert [*contents(tmp_path)] == ["manifest.json"]
