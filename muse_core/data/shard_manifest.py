"""`shards.json`: what `muse shards` says about the shards beside it: splits, samples, sizes and
checksums.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from muse_core.errors import MuseError
from muse_core.results.records import read_json

MANIFEST, CLASSES, MASK_CLASSES = "shards.json", "classes.txt", "mask_classes.txt"


class Shard(BaseModel):
    """One tar of the folder."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    split: str
    samples: int
    bytes: int
    sha256: str


class Manifest(BaseModel):
    """The folder: what it was written from, and each shard by its file's name. ``skipped``: samples
    left out, with reasons.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    source: str
    fingerprints: dict[str, str]
    image_size: int
    samples_per_shard: int
    limit: int | None
    complete: bool = False
    skipped: list[str] = []
    shards: dict[str, Shard] = {}

    def asked(self) -> dict[str, Any]:
        """What a second run must ask for to go on with this one."""
        return self.model_dump(exclude={"complete", "skipped", "shards"})


def read_manifest(folder: Path) -> Manifest | None:
    """None where there is none. Raises MuseError where it is damaged."""
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        return Manifest.model_validate(read_json(path))
    except (ValidationError, RecursionError) as error:
        raise MuseError(
            f"{path} is not what `muse shards` writes: delete it to read the shards without it, or "
            "write them again."
        ) from error


def wrong_sizes(shards: Iterable[Path]) -> list[str]:
    """A note for each of these shards whose size is not the one that was written."""
    manifests: dict[Path, Manifest | None] = {}
    notes = []
    for path in shards:
        folder = path.parent
        if folder not in manifests:
            manifests[folder] = read_manifest(folder)
        told = found.shards.get(path.name) if (found := manifests[folder]) else None
        if told is not None and told.bytes != (size := path.stat().st_size):
            notes.append(
                f"{folder.name}/{path.name}: {size:,} bytes, {told.bytes:,} when it was written"
            )
    return notes


def wrong_checksums(folder: Path) -> list[str]:
    """A note for each shard of the folder that is absent or not as it was written.

    Raises:
        MuseError: where `muse shards` did not write the folder, and where the disk refuses.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        raise MuseError(
            f"There is no {MANIFEST} in {folder}: only shards that `muse shards` wrote can be "
            "verified."
        )
    notes = [] if manifest.complete else [f"{folder.name}: writing was not finished"]
    for name, shard in manifest.shards.items():
        path = folder / Path(name).name
        if not path.is_file():
            notes.append(f"{name} is absent")
        elif sha256(path) != shard.sha256:
            notes.append(f"{name} is not as it was written")
    return notes


def sha256(path: Path) -> str:
    """The checksum of a file. Raises MuseError when the disk refuses."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MuseError(
            f"Cannot read {path} ({error.strerror}): mend the disk or write the shards again."
        ) from error
