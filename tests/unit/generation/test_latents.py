"""Stored latents are what the tokenizer says, are made once, and change with tokenizer and data."""

import torch

from muse_core.data.scenes import Scenes
from muse_core.generation import latents as module
from muse_core.generation.codecs import Codec
from muse_core.generation.latents import StoredLatents

from ..models.small_models import small_tokenizer


def test_stored_latents_are_the_tokenizers_and_shards_are_not_made_twice(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(module, "SHARD", 8)
    codec = Codec(small_tokenizer())
    source = Scenes("train", codec.network.config.image_size)
    stored = StoredLatents.of(codec, source, 20, tmp_path)
    batch, images = stored.__getitems__([3, 17]), source.__getitems__([3, 17])
    assert len(stored) == 20 and batch.captions == images.captions
    assert torch.allclose(batch.latents, codec.encode(images.images), atol=1e-5)
    assert torch.equal(stored.first(30).latents, stored.latents)
    times = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.safetensors")}
    again = StoredLatents.of(codec, source, 20, tmp_path)
    assert torch.equal(again.latents, stored.latents) and len(times) == 3
    assert times == {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.safetensors")}


def test_a_damaged_shard_is_made_again(tmp_path) -> None:
    codec = Codec(small_tokenizer())
    source = Scenes("train", codec.network.config.image_size)
    first = StoredLatents.of(codec, source, 6, tmp_path)
    next(tmp_path.rglob("*.safetensors")).write_bytes(b"half a file")
    assert torch.equal(StoredLatents.of(codec, source, 6, tmp_path).latents, first.latents)


def test_the_fingerprint_follows_weights_and_data() -> None:
    tokenizer = small_tokenizer()
    size = tokenizer.config.image_size
    one = module.fingerprint_of(Codec(tokenizer), Scenes("train", size))
    assert one != module.fingerprint_of(Codec(tokenizer), Scenes("train", size).described())
    with torch.no_grad():
        next(tokenizer.parameters()).add_(1e-3)
    assert one != module.fingerprint_of(Codec(tokenizer), Scenes("train", size))
