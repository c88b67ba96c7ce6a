"""`wds:PATTERN`: WebDataset's tar shards, read by position.

Members of a sample: KEY.jpg (.jpeg, .png, .webp), KEY.txt or KEY.json with the words, KEY.cls with
a class number, KEY.seg.png and KEY.instances.png with masks. classes.txt beside the shards names
the classes, mask_classes.txt those of the masks, one a line, class 0 first. Any sample can be read
at any time, so order, resuming and the share of each process are those of every other source."""

from collections.abc import Iterator
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from muse_core.data.batch import NO_LABEL, Source
from muse_core.data.caption_sampling import clean_captions, picked_caption
from muse_core.data.class_prompts import with_article
from muse_core.data.decode import Unreadable
from muse_core.data.manifest import CLASSES, MASK_CLASSES, read_manifest, wrong_sizes
from muse_core.data.parsing import parsed_json
from muse_core.data.reading import MaskMeaning, ReadSource, Sample, Stored
from muse_core.data.splits import HALVES, check_split, deal_positions, part_named
from muse_core.data.tar_files import ShardFiles
from muse_core.data.tar_index import read_index
from muse_core.data.tar_offsets import (
    CLASS_MASK,
    IMAGE,
    INSTANCE_MASK,
    JSON,
    LABEL,
    ROLES,
    TEXT,
    ShardIndex,
)
from muse_core.data.tar_pattern import shard_paths
from muse_core.errors import MuseError

CAPTION = "a photo"
"""Of a sample without words and without a named class."""


class ShardSource(ReadSource):
    """One split of some shards: ``positions`` in the index. ``whole``: long captions are not cut to
    a sentence.
    """

    def __init__(
        self,
        index: ShardIndex,
        positions: np.ndarray,
        split: str,
        image_size: int,
        seed: int = 0,
        class_names: tuple[str, ...] | None = None,
        mask_names: tuple[str, ...] = (),
        damage: tuple[str, ...] = (),
        whole: bool = False,
    ) -> None:
        self.index, self.positions, self.split, self.image_size, self.seed = (
            index,
            positions,
            split,
            image_size,
            seed,
        )
        self.named, self.mask_names, self.damage, self.whole = (
            class_names,
            mask_names,
            damage,
            whole,
        )
        folder = index.paths[0].parent
        self.name, self.place = folder.name, f"the shards in {folder}"
        self.class_names = (
            tuple(map(str, range(index.labels.max(initial=-1) + 1)))
            if class_names is None
            else class_names
        )
        masked = bool(index.blocks[positions, ROLES.index(CLASS_MASK)].any())
        self.masks = (
            MaskMeaning(mask_names, classes={n: n for n in range(len(mask_names))})
            if masked and mask_names
            else None
        )
        self.with_instances = bool(index.blocks[positions, ROLES.index(INSTANCE_MASK)].any())
        self.mask_class_names = self.masks.names if self.masks else ()
        self.files = ShardFiles(index.paths)
        self.unreadable: dict[str, str] = {}

    def described(self) -> "ShardSource":
        return ShardSource(
            self.index,
            self.positions,
            self.split,
            self.image_size,
            self.seed,
            self.named,
            self.mask_names,
            self.damage,
            whole=True,
        )

    def __len__(self) -> int:
        return len(self.positions)

    @cached_property
    def fingerprint(self) -> str:
        """A hash over the samples' names, labels and sizes, the shards' names, split, image size
        and seed; contents are not read."""
        index, at = self.index, self.positions
        digest = blake2b(f"{self.seed}/{self.whole}/{self.class_names}".encode(), digest_size=8)
        for path in index.paths:
            digest.update(f"{path.name}\n".encode("utf-8", "surrogateescape"))
        for column in (index.shard[at], index.keys[at], index.labels[at], index.sizes[at]):
            digest.update(np.ascontiguousarray(column))
        return f"{self.name}/{self.split}/{self.image_size}px/{digest.hexdigest()}"

    def sample_id(self, index: int) -> str:
        at = self.positions[index]
        path = self.index.paths[self.index.shard[at]]
        return f"{path.parent.name}/{path.name}/{self.index.keys[at].decode('utf-8', 'replace')}"

    def stored(self, index: int) -> Stored:
        at, name = int(self.positions[index]), self.sample_id(index)
        captions = self._captions(at)
        label = int(self.index.labels[at])
        label = label if label < len(self.class_names) else NO_LABEL
        return Stored(
            Sample(
                id=name,
                caption=picked_caption(captions, name, self.seed, self.whole)
                if captions
                else self._template(label),
                label=label,
                captions=captions,
            ),
            image=self._read(at, IMAGE),
            class_mask=self._read(at, CLASS_MASK) if self.masks else None,
            instance_mask=self._read(at, INSTANCE_MASK),
        )

    def _captions(self, at: int) -> tuple[str, ...]:
        """All captions of a sample; its .json comes before its .txt."""
        json, text = self._read(at, JSON), self._read(at, TEXT)
        found = captions_in(json) if json is not None else ()
        return found or clean_captions((text or b"").decode("utf-8", "replace"))

    def _template(self, label: int) -> str:
        named = self.named is not None and label != NO_LABEL
        return f"a photo of {with_article(self.class_names[label])}" if named else CAPTION

    def _read(self, at: int, role: str) -> bytes | None:
        block, size = (
            int(table[at, ROLES.index(role)]) for table in (self.index.blocks, self.index.sizes)
        )
        return self.files.read(int(self.index.shard[at]), block * 512, size) if block else None


def open_shards(pattern: str, split: str, image_size: int, seed: int = 0) -> Source:
    """The samples of one split.

    Where `muse shards` wrote the shards, the split is the one each was written from; otherwise, and
    where all are of one split, a hash of each sample's key keeps a tenth for val and a tenth for
    test. What is damaged in the shards is left out and listed in every batch's ``skipped``. Raises
    MuseError for shards that are absent, or hold no samples."""
    check_split(split)
    paths = shard_paths(pattern)
    index = read_index(paths)
    folders = list(dict.fromkeys(path.parent for path in paths))
    notes = [
        note
        for folder in folders
        for note in wrong_sizes(folder, [path.name for path in paths if path.parent == folder])
    ]
    if not len(index):
        raise MuseError(
            f"wds:{pattern} holds no samples with an image ({(*notes, *index.damage)[0]}): give other shards."
        )
    names, mask_names = (_names(folders, file) for file in (CLASSES, MASK_CLASSES))
    notes += _unnamed(index, names, mask_names)
    return ShardSource(
        index,
        part_named(split, _parts(index), f"wds:{pattern}"),
        split,
        image_size,
        seed,
        names,
        mask_names or (),
        (*notes, *index.damage),
    )


def captions_in(content: bytes) -> tuple[str, ...]:
    """The captions a .json holds: in "captions", "caption" or "text" of an object, or a text or
    list of texts itself.

    Raises Unreadable where it holds something else.
    """
    try:
        value: Any = parsed_json(content)
        if isinstance(value, dict):
            value = next(
                (value[name] for name in ("captions", "caption", "text") if value.get(name)), []
            )
        return clean_captions(value)
    except ValueError as error:
        raise Unreadable("its .json holds no captions") from error


def _parts(index: ShardIndex) -> dict[str, np.ndarray]:
    """Positions by split, each in the order of a hash of the keys."""
    fractions = index.fractions
    written = _written_splits(index.paths)
    splits = list(dict.fromkeys(written))
    if len(splits) == 1:
        return deal_positions(fractions)
    ranks = np.array([splits.index(split) for split in written], np.int8)[index.shard]
    parts = {
        split: _by_fraction(np.flatnonzero(ranks == rank), fractions)
        for rank, split in enumerate(splits)
    }
    if "test" in parts and "val" not in parts:
        parts |= {
            name: parts["test"][part]
            for name, part in deal_positions(fractions[parts["test"]], HALVES).items()
        }
    return parts


def _by_fraction(positions: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    return positions[np.argsort(fractions[positions], kind="stable")]


def _written_splits(paths: tuple[Path, ...]) -> list[str]:
    """The split each shard was written from; what nobody says is train."""
    manifests = {folder: read_manifest(folder) for folder in {path.parent for path in paths}}
    told = (
        manifest.shards.get(path.name) if (manifest := manifests[path.parent]) else None
        for path in paths
    )
    return [shard.split if shard else "train" for shard in told]


def _names(folders: list[Path], file: str) -> tuple[str, ...] | None:
    """The lines of this file beside the shards. Raises MuseError where two folders say different
    things.
    """
    found = {tuple(_lines(folder / file)) for folder in folders if (folder / file).is_file()}
    if len(found) > 1:
        raise MuseError(
            f"The folders {', '.join(map(str, folders))} have different {file}: mix them with mix: instead."
        )
    return next(iter(found), None)


def _lines(path: Path) -> Iterator[str]:
    try:
        yield from filter(None, map(str.strip, path.read_text(encoding="utf-8").split("\n")))
    except (OSError, ValueError) as error:
        raise MuseError(
            f"{path} cannot be read as text ({error}): write one class a line."
        ) from error


def _unnamed(
    index: ShardIndex, names: tuple[str, ...] | None, mask_names: tuple[str, ...] | None
) -> list[str]:
    """What is not used for want of a name."""
    folder, notes = index.paths[0].parent.name, []
    if names is not None and (index.labels >= len(names)).any():
        notes.append(f"{folder}: the {LABEL}s beyond the {len(names)} of {CLASSES}")
    if not mask_names and index.blocks[:, ROLES.index(CLASS_MASK)].any():
        notes.append(f"{folder}: its .seg.png, since no {MASK_CLASSES} names their classes")
    return notes
