"""Latents to train on: encoded once and stored in shards, or encoded again for every batch."""

import sys
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from muse_core.data.batch import Source
from muse_core.errors import MuseError
from muse_core.generation.codecs import Codec
from muse_core.results.tensor_files import Stored, read_stored, write_stored
from muse_core.shapes import Latents

SHARD, ENCODED_AT_ONCE = 2048, 64


@dataclass(frozen=True)
class LatentBatch:
    """Raw latents with their captions; the other fields as in `muse_core.data.batch.Batch`."""

    latents: Latents
    captions: tuple[str, ...]
    ids: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    enlarged: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str) -> "LatentBatch":
        return replace(self, latents=self.latents.to(device, non_blocking=True))


@dataclass(frozen=True)
class StoredLatents:
    """All latents in memory. ``fingerprint`` changes with the data and with the tokenizer."""

    latents: Latents
    captions: tuple[str, ...]
    fingerprint: str
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.captions)

    def __getitems__(self, indices: list[int]) -> LatentBatch:
        captions = tuple(self.captions[index] for index in indices)
        return LatentBatch(self.latents[indices], captions, tuple(map(str, indices)), self.skipped)

    @classmethod
    def of(cls, codec: Codec, source: Source, images: int, folder: Path) -> "StoredLatents":
        """Latents of the first ``images`` of a split, from the shards in ``folder`` where they are;
        the rest is encoded.
        """
        count = min(images, len(source))
        place = folder / fingerprint_of(codec, source)
        starts = range(0, count, SHARD)
        shards = []
        with tqdm(total=count, desc="latents", unit="image", file=sys.stdout, mininterval=2) as bar:
            for start in starts:
                stop = min(start + SHARD, count)
                shards.append(_shard(codec, source, range(start, stop), place))
                bar.update(stop - start)
        captions = tuple(caption for _, note in shards for caption in note["captions"])
        skipped = tuple(dict.fromkeys(name for _, note in shards for name in note["skipped"]))
        latents = torch.cat([tensors["latents"] for tensors, _ in shards])
        return cls(latents, captions, f"{place.name}/{count}", skipped)


@dataclass(frozen=True)
class FreshLatents:
    """Latents encoded anew for every batch: nothing is stored, every epoch pays."""

    codec: Codec
    source: Source
    images: int

    @property
    def fingerprint(self) -> str:
        return f"{fingerprint_of(self.codec, self.source)}/{len(self)}"

    def __len__(self) -> int:
        return min(self.images, len(self.source))

    def __getitems__(self, indices: list[int]) -> LatentBatch:
        return _encoded(self.codec, self.source, indices)


def fingerprint_of(codec: Codec, source: Source) -> str:
    """Of these weights on this data, as a folder's name."""
    return blake2b(f"{codec.fingerprint}/{source.fingerprint}".encode(), digest_size=8).hexdigest()


def _shard(codec: Codec, source: Source, indices: range, place: Path) -> Stored:
    file = place / f"{indices.start:08d}-{indices.stop:08d}.safetensors"
    found = read_stored(file)
    if found is None:
        parts = [
            indices[at : at + ENCODED_AT_ONCE] for at in range(0, len(indices), ENCODED_AT_ONCE)
        ]
        found = _joined([_encoded(codec, source, list(part)) for part in parts])
        write_stored(file, found)
    return found


def _encoded(codec: Codec, source: Source, indices: list[int]) -> LatentBatch:
    batch = source.__getitems__(indices)
    latents = codec.encode(batch.images.to(codec.device)).float().cpu()
    if not torch.isfinite(latents).all():
        raise MuseError(
            f"The latents of {batch.ids[0]} and its neighbours are not finite: look for NaN in the tokenizer."
        )
    return LatentBatch(latents, batch.captions, batch.ids, batch.skipped, batch.enlarged)


def _joined(batches: list[LatentBatch]) -> Stored:
    latents: Tensor = torch.cat([batch.latents for batch in batches])
    captions = [caption for batch in batches for caption in batch.captions]
    skipped = [name for batch in batches for name in batch.skipped]
    return {"latents": latents}, {"captions": captions, "skipped": list(dict.fromkeys(skipped))}
