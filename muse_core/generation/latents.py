"""Latents to train on: every training image encoded once, kept on disk in shards."""

import sys
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

import torch
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
    """All latents in memory, indexed like a `muse_core.data.batch.Source`.

    Args:
        latents: Raw, (images, channels, rows, columns).
        captions: One an image.
        fingerprint: Changes with the data and with the tokenizer.
        skipped: Files that could not be read.
    """

    latents: Latents
    captions: tuple[str, ...]
    fingerprint: str
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.captions)

    def __getitems__(self, indices: list[int]) -> LatentBatch:
        captions = tuple(self.captions[index] for index in indices)
        return LatentBatch(self.latents[indices], captions, tuple(map(str, indices)), self.skipped)

    def first(self, count: int) -> LatentBatch:
        """The first ``count`` latents, fewer where there are fewer."""
        return self.__getitems__(list(range(min(count, len(self)))))

    @classmethod
    def of(cls, codec: Codec, source: Source, images: int, folder: Path) -> "StoredLatents":
        """The latents of a split.

        Args:
            codec: What encodes them.
            source: The split.
            images: How many of its images, from the first.
            folder: Where shards lie; what is not there yet is encoded, and stored.

        Raises:
            MuseError: Latents are not finite, or the disk refuses.
        """
        count = min(images, len(source))
        place = folder / fingerprint_of(codec, source)
        shards: list[Stored] = []
        with tqdm(total=count, desc="latents", unit="image", file=sys.stdout, mininterval=2) as bar:
            for start in range(0, count, SHARD):
                stop = min(start + SHARD, count)
                shards.append(_shard(codec, source, range(start, stop), place))
                bar.update(stop - start)
        captions = tuple(caption for _, note in shards for caption in note["captions"])
        skipped = tuple(dict.fromkeys(name for _, note in shards for name in note["skipped"]))
        latents = torch.cat([tensors["latents"] for tensors, _ in shards])
        return cls(latents, captions, f"{place.name}/{count}", skipped)


def fingerprint_of(codec: Codec, source: Source) -> str:
    """Of these weights on this data, as a folder's name."""
    return blake2b(f"{codec.fingerprint}/{source.fingerprint}".encode(), digest_size=8).hexdigest()


def _shard(codec: Codec, source: Source, indices: range, place: Path) -> Stored:
    """A shard as it lies on disk; encoded and stored where there is none, or a damaged one."""
    file = place / f"{indices.start:08d}-{indices.stop:08d}.safetensors"
    if (found := read_stored(file)) is not None:
        return found
    latents, captions, skipped = [], [], {}
    for start in range(0, len(indices), ENCODED_AT_ONCE):
        batch = source.__getitems__(list(indices[start : start + ENCODED_AT_ONCE]))
        latents.append(codec.encode(batch.images.to(codec.device)).float().cpu())
        if not torch.isfinite(latents[-1]).all():
            raise MuseError(
                f"The latents of {batch.ids[0]} and its neighbours are not finite: look for NaN in "
                "the tokenizer."
            )
        captions += batch.captions
        skipped |= dict.fromkeys(batch.skipped)
    made: Stored = {"latents": torch.cat(latents)}, {"captions": captions, "skipped": [*skipped]}
    write_stored(file, made)
    return made
