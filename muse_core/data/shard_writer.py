"""`muse shards`: any source -> numbered tar shards that `wds:` reads, WebDataset and `datasets`
too.

The same source gives the same bytes. A shard appears whole or not at all; what an interrupted run
has finished is kept, and the same command goes on after it."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from muse_core.data.batch import Source
from muse_core.data.decode import Unreadable
from muse_core.data.manifest import (
    CLASSES,
    MANIFEST,
    MASK_CLASSES,
    Manifest,
    Shard,
    read_manifest,
    sha256,
)
from muse_core.data.shard_samples import members
from muse_core.errors import MuseError
from muse_core.paths import writable
from muse_core.results.records import write_json

MOST_SHARDS = 1_000_000


@dataclass(frozen=True)
class Plan:
    """One shard to be written: positions ``first .. last`` (exclusive) of a split."""

    name: str
    split: str
    first: int
    last: int


def write_shards(
    spec: str,
    sources: Mapping[str, Source],
    into: Path,
    image_size: int,
    samples_per_shard: int = 1000,
    limit: int | None = None,
) -> Manifest:
    """Write each split's first ``limit`` samples into 000000.tar, 000001.tar, ... and shards.json,
    one split after the other; go on where an earlier run of the same command stopped.
    ``image_size``: pixels a side of drawn images; image files are kept as they are.

    Raises MuseError for a folder that holds other shards, for samples that cannot be written, and
    when the disk refuses."""
    if samples_per_shard < 1 or (limit is not None and limit < 1):
        raise MuseError("A shard needs at least one sample: give positive numbers of samples.")
    plans = planned(
        {split: len(source) for split, source in sources.items()}, samples_per_shard, limit
    )
    manifest = _begun(writable(into), _empty(spec, sources, image_size, samples_per_shard, limit))
    _write_names(into, next(iter(sources.values())))
    for plan in tqdm(plans, desc="shards", unit="shard"):
        if not _is_written(into, manifest, plan.name):
            manifest = _with_shard(into, manifest, plan, sources[plan.split])
    manifest = manifest.model_copy(update={"complete": True})
    write_json(into / MANIFEST, manifest.model_dump())
    return manifest


def planned(
    lengths: Mapping[str, int], samples_per_shard: int, limit: int | None = None
) -> list[Plan]:
    """The shards of splits of these lengths. Raises MuseError for too many."""
    totals = {
        split: length if limit is None else min(length, limit) for split, length in lengths.items()
    }
    count = sum(-(-total // samples_per_shard) for total in totals.values())
    if count > MOST_SHARDS:
        raise MuseError(f"That would be {count:,} shards: put more samples into each.")
    pieces = [
        (split, first, min(first + samples_per_shard, total))
        for split, total in totals.items()
        for first in range(0, total, samples_per_shard)
    ]
    return [Plan(f"{number:06d}.tar", *piece) for number, piece in enumerate(pieces)]


def _empty(
    spec: str,
    sources: Mapping[str, Source],
    image_size: int,
    samples_per_shard: int,
    limit: int | None,
) -> Manifest:
    return Manifest(
        source=spec,
        fingerprints={split: source.fingerprint for split, source in sources.items()},
        image_size=image_size,
        samples_per_shard=samples_per_shard,
        limit=limit,
        complete=False,
        skipped=[],
        shards={},
    )


def _begun(into: Path, asked: Manifest) -> Manifest:
    """What an earlier run of the same command has finished; ``asked`` where there was none. Raises
    MuseError for another.
    """
    found = read_manifest(into)
    if found is None and any(into.glob("*.tar")):
        raise MuseError(
            f"{into} holds shards that `muse shards` did not write: give an empty folder."
        )
    for name, value in asked.asked().items():
        if found is not None and found.asked()[name] != value:
            raise MuseError(
                f"{into} holds shards with {name} {found.asked()[name]!r}, asked for is {value!r}: give another folder, or "
                "delete this one."
            )
    return found or asked


def _is_written(into: Path, manifest: Manifest, name: str) -> bool:
    told, path = manifest.shards.get(name), into / name
    return told is not None and path.is_file() and path.stat().st_size == told.bytes


def _with_shard(into: Path, manifest: Manifest, plan: Plan, source: Source) -> Manifest:
    """Write one shard, then what is known about it."""
    skipped: list[str] = []
    path = into / plan.name
    samples = _write_whole(path, _samples(source, plan, skipped))
    shard = Shard(split=plan.split, samples=samples, bytes=path.stat().st_size, sha256=sha256(path))
    manifest = manifest.model_copy(
        update={
            "shards": manifest.shards | {plan.name: shard},
            "skipped": list(dict.fromkeys([*manifest.skipped, *skipped])),
        }
    )
    write_json(into / MANIFEST, manifest.model_dump())
    return manifest


def _samples(source: Source, plan: Plan, skipped: list[str]) -> Iterator[dict[str, str | bytes]]:
    """WebDataset's samples; a sample that cannot be read is noted instead."""
    for index in range(plan.first, plan.last):
        try:
            yield {"__key__": f"{plan.split}-{index:09d}", **members(source, index)}
        except Unreadable as reason:
            skipped.append(f"{plan.split} sample {index}: {reason}")


def _write_whole(path: Path, samples: Iterator[dict[str, str | bytes]]) -> int:
    """Write beside, push to the disk, rename; returns the number of samples. Raises MuseError when
    the disk refuses.
    """
    from webdataset import TarWriter

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
        raise MuseError(
            f"Cannot write {path} ({error.strerror}): free some space and run the same command again."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return count


def _write_names(into: Path, source: Source) -> None:
    for file, names in ((CLASSES, source.class_names), (MASK_CLASSES, source.mask_class_names)):
        if names:
            _write_lines(into / file, names)


def _write_lines(path: Path, names: Sequence[str]) -> None:
    try:
        path.write_text(
            "".join(re.sub(r"\s+", " ", name) + "\n" for name in names), encoding="utf-8"
        )
    except OSError as error:
        raise MuseError(
            f"Cannot write {path} ({error.strerror}): free some space and run the same command again."
        ) from error
