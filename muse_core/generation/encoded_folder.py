"""`muse encode`: every image of a folder -> its latent, embedding and mean semantic token, in
shards.

The same folder and tokenizer give the same files. A shard appears whole or not at all; what an
interrupted run has finished is kept, and the same command goes on after it.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from muse_core.data.folders import existing_folder, image_files
from muse_core.data.notes import Notes
from muse_core.data.own_images import image_from
from muse_core.data.text_files import readable
from muse_core.errors import MuseError, chosen, shown
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.paths import writable
from muse_core.results.records import read_json, whole_file, write_json
from muse_core.results.tensor_files import write_stored

MANIFEST = "manifest.json"
HALF_WRITTEN = re.compile(r"\.(manifest\.json|\d{6,}\.\w+)\.\d+\.tmp|\.write-test-\d+")
"""Names of what a process that was killed leaves here; another hidden file is somebody's own."""
OF_THE_SYSTEM = (".DS_Store",)
"""Does not make a folder full."""

Columns = Mapping[str, Tensor]
"""What is written of a shard's images, each (images, ...), float32 on the CPU."""


class Shard(BaseModel):
    """One file: how many images it holds, and its size."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    images: int
    bytes: int


class Manifest(BaseModel):
    """``manifest.json``: what was encoded, with what, and what came of it.

    ``tokenizer``: its fingerprint; ``listing``: a hash of the names and sizes of the images;
    ``listed``: how many; ``shapes``: of each column, of one image; ``unreadable``: name -> why it
    is in no shard; ``not_used``: what else lies in the folder."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    tokenizer: str
    image_size: int
    fit: str
    format: str
    batch_size: int
    images_per_shard: int
    listing: str
    listed: int
    encoded: int = 0
    complete: bool = False
    shapes: dict[str, list[int]] = {}
    not_used: list[str] = []
    unreadable: dict[str, str] = {}
    shards: dict[str, Shard] = {}

    def asked(self) -> dict[str, Any]:
        """What a second run must ask for to go on with this one."""
        made = {"encoded", "complete", "shapes", "not_used", "unreadable", "shards"}
        return self.model_dump(exclude=made)


def encode_folder(
    folder: Path,
    into: Path,
    tokenizer: MuseTokenizer,
    fingerprint: str,
    format: str = "safetensors",
    batch_size: int = 32,
    images_per_shard: int = 1024,
    workers: int = 0,
) -> Manifest:
    """Write 000000.safetensors, 000001.safetensors, ... and manifest.json, in the order of names.

    Args:
        folder: Images in it and below.
        into: Where to write; made where it is absent.
        tokenizer: In eval mode, on its device.
        fingerprint: Of its weights.
        format: A name of `FORMATS`.
        batch_size: Images encoded at once.
        images_per_shard: That a shard takes of the list of images, at most.
        workers: Processes that read images; 0 for this one.

    Raises:
        MuseError: For a folder without images, one to write to that holds something else, latents
            that are not finite, and a disk that refuses.
    """
    if batch_size < 1 or images_per_shard < 1 or workers < 0:
        raise MuseError(
            f"A batch of {batch_size} images, shards of {images_per_shard} and {workers} workers "
            "cannot be: give positive numbers."
        )
    write, notes = chosen("format", format, FORMATS), Notes()
    if format == "parquet":
        # Where it is not installed, that is said before the work.
        import pyarrow.parquet  # noqa: F401
    names = image_files(existing_folder(folder, "images in it or below"), notes)
    if not names:
        raise MuseError(f"{folder} holds no image: give a folder with JPEG, PNG or WebP files.")
    if into.resolve() == folder.resolve():
        raise MuseError(f"{into} is the folder of the images itself: give another with --into.")
    _refuse_alike(names)
    processor = tokenizer.image_processor
    asked = Manifest(
        tokenizer=fingerprint,
        image_size=processor.side,
        fit=processor.fit,
        format=format,
        batch_size=batch_size,
        images_per_shard=images_per_shard,
        listing=_listing(folder, names),
        listed=len(names),
    )
    begins = {"not_used": [*notes.lines()], "complete": False}
    manifest = _begun(writable(into), asked).model_copy(update=begins)
    write_json(into / MANIFEST, manifest.model_dump())
    _clear_half_written(into)
    plans = {
        f"{number:06d}.{format}": range(first, min(first + images_per_shard, len(names)))
        for number, first in enumerate(range(0, len(names), images_per_shard))
    }
    left = {name: plan for name, plan in plans.items() if not _is_there(into / name, manifest)}
    batches = {
        name: [plan[at : at + batch_size] for at in range(0, len(plan), batch_size)]
        for name, plan in left.items()
    }
    photos = _Photos(folder, names, processor.side, processor.fit)
    order: Any = [list(batch) for shard in batches.values() for batch in shard]
    read = iter(DataLoader(photos, batch_sampler=order, num_workers=workers, collate_fn=list))
    done = len(names) - sum(map(len, left.values()))
    with tqdm(total=len(names), initial=done, desc="encode", unit="image", mininterval=1) as bar:
        for name, shard in batches.items():
            encoded = _encoded(tokenizer, islice(read, len(shard)), bar.update)
            manifest = _with_shard(into / name, manifest, encoded, write)
    manifest = manifest.model_copy(update={"complete": True})
    write_json(into / MANIFEST, manifest.model_dump())
    return manifest


@dataclass(frozen=True)
class _Encoded:
    """A shard in memory; ``columns`` is empty where no image of it could be read."""

    names: list[str]
    columns: Columns
    unreadable: dict[str, str]


@dataclass(frozen=True)
class _Photos(Dataset[tuple[str, Tensor | str]]):
    """(name, pixels or the reason why there are none) of each image."""

    root: Path
    names: list[str]
    size: int
    fit: str

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[str, Tensor | str]:
        file, name = self.root / self.names[index], readable(self.names[index])
        try:
            return name, image_from(name, file, self.size, self.fit).images[0]
        except MuseError as error:
            return name, str(error)


def _encoded(
    tokenizer: MuseTokenizer, batches: Iterator[Any], update: Callable[[int], Any]
) -> _Encoded:
    names, parts, unreadable = [], [], {}
    for batch in batches:
        unreadable |= {name: why for name, why in batch if isinstance(why, str)}
        photos = {name: pixels for name, pixels in batch if isinstance(pixels, Tensor)}
        if photos:
            images = torch.stack([*photos.values()]).to(tokenizer.device, tokenizer.dtype)
            with torch.no_grad():
                parts.append(_columns(next(iter(photos)), tokenizer.encode(images)))
            names += photos
        update(len(batch))
    keys = parts[0] if parts else ()
    return _Encoded(
        names, {key: torch.cat([one[key] for one in parts]) for key in keys}, unreadable
    )


def _columns(first: str, encoding: Any) -> Columns:
    found = {
        "latent": encoding.latent,
        "embedding": encoding.embedding,
        "semantic_mean": encoding.semantic.mean(1),
    }
    columns = {name: tensor.float().cpu() for name, tensor in found.items()}
    for name, column in columns.items():
        if not torch.isfinite(column).all():
            raise MuseError(
                f"The {name} of {first} or of an image after it is not finite: look for NaN in the "
                "tokenizer."
            )
    return columns


def _with_shard(
    path: Path, manifest: Manifest, encoded: _Encoded, write: Callable[..., None]
) -> Manifest:
    """Write one shard, then what is known about it; of images that are all unreadable, no file."""
    update: dict[str, Any] = {"unreadable": manifest.unreadable | encoded.unreadable}
    if encoded.names:
        write(path, encoded.names, encoded.columns)
        shard = Shard(images=len(encoded.names), bytes=path.stat().st_size)
        shapes = {name: list(column.shape[1:]) for name, column in encoded.columns.items()}
        update |= {"shards": manifest.shards | {path.name: shard}, "shapes": shapes}
        update |= {"encoded": sum(one.images for one in update["shards"].values())}
    manifest = manifest.model_copy(update=update)
    write_json(path.parent / MANIFEST, manifest.model_dump())
    return manifest


def _is_there(path: Path, manifest: Manifest) -> bool:
    told = manifest.shards.get(path.name)
    return told is not None and path.is_file() and path.stat().st_size == told.bytes


def read_manifest(into: Path) -> Manifest | None:
    """None where there is none. Raises MuseError where it is damaged."""
    if not (into / MANIFEST).is_file():
        return None
    try:
        return Manifest.model_validate(read_json(into / MANIFEST))
    except (ValidationError, RecursionError, MuseError) as error:
        raise MuseError(
            f"{into / MANIFEST} is not what `muse encode` writes: delete it, or give another "
            "folder."
        ) from error


def _begun(into: Path, asked: Manifest) -> Manifest:
    """What an earlier run of the same command has finished; ``asked`` where there was none."""
    found = read_manifest(into)
    if found is None:
        names = {path.name for path in into.iterdir()} - {*OF_THE_SYSTEM}
        if any(not HALF_WRITTEN.fullmatch(name) for name in names):
            raise MuseError(
                f"{into} is not empty, and `muse encode` did not write it: give an empty folder."
            )
        return asked
    if found.listing != asked.listing:
        many = f"{asked.listed:,} images instead of {found.listed:,}"
        other = many if asked.listed != found.listed else "other images, by their names or sizes"
        raise MuseError(
            f"{into} was written when the folder held other images (now {other}): give another "
            "folder with --into, or delete this one, and all of them are encoded again."
        )
    for name, value in asked.asked().items():
        if found.asked()[name] != value:
            raise MuseError(
                f"{into} was written with {name} {found.asked()[name]!r}, and now it is {value!r}: "
                "give another folder, or delete this one."
            )
    return found


def _clear_half_written(into: Path) -> None:
    for path in into.iterdir():
        if HALF_WRITTEN.fullmatch(path.name):
            path.unlink()


def _refuse_alike(names: list[str]) -> None:
    """Raises MuseError for two files whose names, as text, are one: a latent is found by it."""
    found = defaultdict[str, list[str]](list)
    for name in names:
        found[readable(name)].append(name)
    if alike := next((each for each in found.values() if len(each) > 1), []):
        raise MuseError(
            f"The images {' and '.join(map(shown, alike[:3]))} read alike, since bytes of a name "
            "are no UTF-8: rename one, as a latent is found by its image's name."
        )


def _listing(folder: Path, names: list[str]) -> str:
    digest = blake2b(digest_size=8)
    for name in names:
        size = (folder / name).stat().st_size
        digest.update(f"{name}\n{size}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def write_safetensors(path: Path, names: list[str], columns: Columns) -> None:
    """Tensors by the names of the columns; the images' names in the file's note
    (`muse_core.results.tensor_files.read_stored`).
    """
    write_stored(path, ({**columns}, {"names": names}))


def write_parquet(path: Path, names: list[str], columns: Columns) -> None:
    """A row an image: its name, and each column as a flat list, whose shape the manifest says."""
    import pyarrow
    import pyarrow.parquet

    flat = {name: column.flatten(1).numpy() for name, column in columns.items()}
    lists = {
        name: pyarrow.FixedSizeListArray.from_arrays(rows.ravel(), rows.shape[1])
        for name, rows in flat.items()
    }
    with whole_file(path) as temporary:
        pyarrow.parquet.write_table(pyarrow.table({"name": names, **lists}), temporary)


FORMATS: dict[str, Callable[[Path, list[str], Columns], None]] = {
    "safetensors": write_safetensors,
    "parquet": write_parquet,
}
"""Suffix of a shard -> what writes it, whole or not at all."""
