"""`muse shards`: any source -> numbered tar shards that `wds:` reads, WebDataset and `datasets`
too.

The same source gives the same bytes. A shard appears whole or not at all; what an interrupted run
has finished is kept, and the same command goes on after it. An image file is kept as it is, where
its format is a usual one; what a source draws becomes a PNG.
"""

import io
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from muse_core.data.batch import NO_LABEL, Source
from muse_core.data.decode import Unreadable, mask_numbers, rgb_image
from muse_core.data.reading import Encoded, MaskMeaning, ReadSource, opened, translated
from muse_core.data.shard_manifest import (
    CLASSES,
    MANIFEST,
    MASK_CLASSES,
    Manifest,
    Shard,
    read_manifest,
    sha256,
)
from muse_core.errors import MuseError
from muse_core.paths import writable
from muse_core.results.records import write_json

WIDEST = 255
"""The largest number an 8-bit mask holds; masks with larger ones become 16-bit."""
SUFFIXES = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
"""Pillow's formats and modes that a shard keeps as they are; an image in another becomes a PNG."""

Plan = tuple[str, str, range]
"""A shard's name, the split it is of, and the positions it takes of that split."""


def write_shards(
    spec: str,
    sources: Mapping[str, Source],
    into: Path,
    image_size: int,
    samples_per_shard: int = 1000,
    limit: int | None = None,
) -> Manifest:
    """Write splits into 000000.tar, 000001.tar, ... and shards.json, one split after the other; go
    on where an earlier run of the same command stopped.

    Args:
        spec: how the source is called, to be told in shards.json.
        sources: the splits by name.
        into: the folder; made where it is absent.
        image_size: pixels a side of drawn images; image files are kept as they are.
        samples_per_shard: at most.
        limit: write only the first so many samples of each split.

    Raises:
        MuseError: for a folder that holds other shards, and when the disk refuses.
    """
    if samples_per_shard < 1 or (limit is not None and limit < 1):
        raise MuseError("A shard needs at least one sample: give positive numbers of samples.")
    plans = planned({split: len(one) for split, one in sources.items()}, samples_per_shard, limit)
    asked = Manifest(
        source=spec,
        fingerprints={split: source.fingerprint for split, source in sources.items()},
        image_size=image_size,
        samples_per_shard=samples_per_shard,
        limit=limit,
    )
    manifest = _begun(writable(into), asked)
    _write_names(into, next(iter(sources.values())))
    for plan in tqdm(plans, desc="shards", unit="shard"):
        told, path = manifest.shards.get(plan[0]), into / plan[0]
        if told is None or not path.is_file() or path.stat().st_size != told.bytes:
            manifest = _with_shard(path, manifest, plan, sources[plan[1]])
    manifest = manifest.model_copy(update={"complete": True})
    write_json(into / MANIFEST, manifest.model_dump())
    return manifest


def planned(
    lengths: Mapping[str, int], samples_per_shard: int, limit: int | None = None
) -> list[Plan]:
    """The shards of splits of these lengths."""
    totals = {split: min(length, limit or length) for split, length in lengths.items()}
    pieces = [
        (split, range(first, min(first + samples_per_shard, total)))
        for split, total in totals.items()
        for first in range(0, total, samples_per_shard)
    ]
    return [(f"{number:06d}.tar", *piece) for number, piece in enumerate(pieces)]


def _begun(into: Path, asked: Manifest) -> Manifest:
    """What an earlier run of the same command has finished; ``asked`` where there was none. Raises
    MuseError for another.
    """
    found = read_manifest(into)
    if found is None:
        if any(into.glob("*.tar")):
            raise MuseError(
                f"{into} holds shards that `muse shards` did not write: give an empty folder."
            )
        return asked
    for name, value in asked.asked().items():
        if found.asked()[name] != value:
            raise MuseError(
                f"{into} holds shards with {name} {found.asked()[name]!r}, asked for is {value!r}: "
                "give another folder, or delete this one."
            )
    return found


def _with_shard(path: Path, manifest: Manifest, plan: Plan, source: Source) -> Manifest:
    """Write one shard, then what is known about it."""
    name, split, positions = plan
    skipped = list(manifest.skipped)
    samples = _write_whole(path, _samples(source, split, positions, skipped))
    shard = Shard(split=split, samples=samples, bytes=path.stat().st_size, sha256=sha256(path))
    told = {"shards": manifest.shards | {name: shard}, "skipped": list(dict.fromkeys(skipped))}
    manifest = manifest.model_copy(update=told)
    write_json(path.parent / MANIFEST, manifest.model_dump())
    return manifest


def _samples(
    source: Source, split: str, positions: range, skipped: list[str]
) -> Iterator[dict[str, str | bytes]]:
    """WebDataset's samples; a sample that cannot be read is noted instead."""
    for index in positions:
        try:
            members = _members(source, index)
        # What Pillow cannot write is no fault of the disk.
        except (Unreadable, OSError, ValueError) as reason:
            skipped.append(f"{split} sample {index}: {reason}")
        else:
            yield {"__key__": f"{split}-{index:09d}", **members}


def _members(source: Source, index: int) -> Mapping[str, str | bytes]:
    if isinstance(source, ReadSource):
        return _stored_members(source, index)
    return _drawn_members(source, index)


def _write_whole(path: Path, samples: Iterator[dict[str, str | bytes]]) -> int:
    """Write beside, push to the disk, rename; returns the number of samples. Raises MuseError when
    the disk refuses.
    """
    from webdataset.writer import TarWriter

    temporary, count = path.with_name(f".{path.name}.tmp"), 0
    try:
        with temporary.open("wb") as file:
            with TarWriter(file, encoder=False, mtime=0) as tar:
                for sample in samples:
                    tar.write(sample)
                    count += 1
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)
    return count


def _write_names(into: Path, source: Source) -> None:
    for file, names in ((CLASSES, source.class_names), (MASK_CLASSES, source.mask_class_names)):
        lines = "".join(re.sub(r"\s+", " ", name) + "\n" for name in names)
        try:
            if names:
                (into / file).write_text(lines, encoding="utf-8")
        except OSError as error:
            raise _cannot_write(into / file, error) from error


def _cannot_write(path: Path, error: OSError) -> MuseError:
    return MuseError(
        f"Cannot write {path} ({error.strerror}): free some space and run the same command again."
    )


def _stored_members(source: ReadSource, index: int) -> dict[str, bytes]:
    """{extension: content} of an image that is stored somewhere. Raises Unreadable."""
    # What cannot be decoded is not worth keeping.
    source.load(index)
    stored, meaning = source.stored(index), source.masks or MaskMeaning(names=())
    suffix, content = _image(stored.image)
    found = {suffix: content} | _words(stored.sample.captions, stored.sample.label)
    if stored.class_mask is not None:
        numbers = torch.from_numpy(mask_numbers(opened(stored.class_mask), meaning.two))
        found["seg.png"] = _mask_png(meaning.classes_of(numbers))
    if stored.instance_mask is not None:
        numbers = torch.from_numpy(mask_numbers(opened(stored.instance_mask)))
        found["instances.png"] = _mask_png(translated(numbers, meaning.instances, 0))
    return found


def _drawn_members(source: Source, index: int) -> dict[str, bytes]:
    """{extension: content} of an image that a source draws. Raises Unreadable."""
    batch = source.__getitems__([index])
    if unread := [note for note in batch.skipped if note not in source.notes]:
        raise Unreadable(unread[0])
    pixels = (batch.images[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    found = {"png": _png(Image.fromarray(pixels))}
    found |= _words(batch.captions[:1], int(batch.labels[0]))
    if batch.class_masks is not None:
        found["seg.png"] = _mask_png(batch.class_masks[0])
    if batch.instance_masks is not None:
        found["instances.png"] = _mask_png(batch.instance_masks[0])
    return found


def _words(captions: tuple[str, ...], label: int) -> dict[str, bytes]:
    """One caption as text, several as JSON."""
    several = {"json": json.dumps({"captions": captions}, ensure_ascii=False).encode()}
    words = {"txt": captions[0].encode()} if len(captions) == 1 else several
    return words if label == NO_LABEL else words | {"cls": str(label).encode()}


def _image(encoded: Encoded) -> tuple[str, bytes]:
    content = encoded.read_bytes() if isinstance(encoded, Path) else encoded
    with Image.open(io.BytesIO(content)) as image:
        suffix = SUFFIXES.get(image.format or "")
        if image.mode not in MODES:
            return "png", _png(rgb_image(io.BytesIO(content)))
        return (suffix, content) if suffix else ("png", _png(image, exif=image.getexif()))


def _mask_png(mask: Tensor) -> bytes:
    numbers = mask.numpy()
    narrow = numbers.max(initial=0) <= WIDEST
    return _png(Image.fromarray(numbers.astype(np.uint8 if narrow else np.uint16)))


def _png(image: Image.Image, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, "PNG", **options)
    return content.getvalue()
