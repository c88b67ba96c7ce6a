"""Stored latents are what the tokenizer says, are made once, and change with tokenizer and data."""

import torch

from muse_core.data.scenes import Scenes
from muse_core.generation import latents as module
from muse_core.generation.codecs import codec_of
from muse_core.generation.latents import FreshLatents, StoredLatents

from ..models.small_models import small_tokenizer


def test_stored_and_fresh_latents_agree_and_shards_are_not_made_twice(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(module, "SHARD", 8)
    codec = codec_of(small_tokenizer())
    source = Scenes("train", codec.network.config.image_size)
    stored, fresh = StoredLatents.of(codec, source, 20, tmp_path), FreshLatents(codec, source, 20)
    assert len(stored) == len(fresh) == 20 and stored.fingerprint == fresh.fingerprint
    one, other = stored.__getitems__([3, 17]), fresh.__getitems__([3, 17])
    assert torch.allclose(one.latents, other.latents, atol=1e-5) and one.captions == other.captions
    times = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.safetensors")}
    again = StoredLatents.of(codec, source, 20, tmp_path)
    assert torch.equal(again.latents, stored.latents) and len(times) == 3
    assert times == {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.safetensors")}


def test_a_damaged_shard_is_made_again(tmp_path) -> None:
    codec = codec_of(small_tokenizer())
    source = Scenes("train", codec.network.config.image_size)
    first = StoredLatents.of(codec, source, 6, tmp_path)
    next(tmp_path.rglob("*.safetensors")).write_bytes(b"half a file")
    assert torch.equal(StoredLatents.of(codec, source, 6, tmp_path).latents, first.latents)


def test_the_fingerprint_follows_weights_and_data() -> None:
    tokenizer = small_tokenizer()
    size = tokenizer.config.image_size
    one = module.fingerprint_of(codec_of(tokenizer), Scenes("train", size))
    assert one != module.fingerprint_of(codec_of(tokenizer), Scenes("train", size).described())
    with torch.no_grad():
        next(tokenizer.parameters()).add_(1e-3)
    assert one != module.fingerprint_of(codec_of(tokenizer), Scenes("train", size))
