"""`hf-stream:NAME`: a data set of the Hugging Face hub, or a folder of parquet, of which only what
a step needs is fetched.

`datasets` finds the files, with its names for splits and configurations; the rows are read by
position, through the footers of the parquet files, instead of as one iterable. So the order is a
function of the seed, a stage resumes exactly, and no sample is read twice, with any number of
processes and workers, as with every other source. The order goes through whole row groups, so that
each is fetched once an epoch by one reader and then forgotten.

Validation and test are row groups of their own, where the data set has no such splits: the first
samples of a split lie side by side in their file."""

import os
import re
from collections.abc import Mapping
from functools import cached_property
from hashlib import blake2b
from heapq import heapify, heapreplace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from muse_core.data.batch import Source
from muse_core.data.caption_sampling import picked_caption
from muse_core.data.decode import Unreadable
from muse_core.data.hub import cannot_be_opened
from muse_core.data.hub_columns import Columns, columns_of
from muse_core.data.hub_splits import split_of
from muse_core.data.lanes import STEPS
from muse_core.data.reading import ReadSource, Sample, Stored
from muse_core.data.row_groups import RowGroupReader, RowGroups, read_footers
from muse_core.data.splits import check_split, hash_fraction
from muse_core.errors import MuseError
from muse_core.paths import user_path

if TYPE_CHECKING:
    from datasets import DatasetBuilder

_IN_REPOSITORY = re.compile(r"hf://datasets/[^@]+@[^/]+/(.+)")


class HubStream(ReadSource):
    """One split of a data set: the row groups ``chosen``, in this order. ``names``: what the files
    are called in the set.
    """

    def __init__(
        self,
        name: str,
        groups: RowGroups,
        chosen: np.ndarray,
        names: tuple[str, ...],
        columns: Columns,
        split: str,
        image_size: int,
        seed: int = 0,
        whole: bool = False,
    ) -> None:
        self.name, self.groups, self.chosen, self.names, self.columns = (
            name,
            groups,
            chosen,
            names,
            columns,
        )
        self.split, self.image_size, self.seed, self.whole = split, image_size, seed, whole
        self.place = f"the data set hf-stream:{name}"
        self.class_names, self.damage = columns.class_names, groups.damage
        self.starts = np.concatenate([[0], np.cumsum(groups.rows[chosen])])
        self.reader = RowGroupReader(groups, columns.names)
        self.places = _places(self.reader.places, len(chosen))
        self.unreadable: dict[str, str] = {}

    def described(self) -> "HubStream":
        return HubStream(
            self.name,
            self.groups,
            self.chosen,
            self.names,
            self.columns,
            self.split,
            self.image_size,
            self.seed,
            whole=True,
        )

    def __len__(self) -> int:
        return int(self.starts[-1])

    @cached_property
    def fingerprint(self) -> str:
        """A hash over the files' names, the sizes of their row groups, the columns, split, image
        size and seed; rows are not read."""
        digest = blake2b(
            repr((self.columns, self.names, self.seed, self.whole)).encode("utf-8", "replace"),
            digest_size=8,
        )
        for column in ("file", "number", "rows", "bytes"):
            digest.update(np.ascontiguousarray(getattr(self.groups, column)[self.chosen]))
        return f"{self.name}/{self.split}/{self.image_size}px/{digest.hexdigest()}"

    def lanes(self, count: int, generator: torch.Generator) -> list[Tensor]:
        """Whole row groups in a fresh order, each to the lane that is shortest so far; their rows
        are shuffled.
        """
        lanes: list[list[Tensor]] = [[] for _ in range(count)]
        lengths = [(0, lane) for lane in range(count)]
        heapify(lengths)
        for place in torch.randperm(len(self.chosen), generator=generator).tolist():
            first, last = int(self.starts[place]), int(self.starts[place + 1])
            length, lane = lengths[0]
            lanes[lane].append(first + torch.randperm(last - first, generator=generator))
            heapreplace(lengths, (length + last - first, lane))
        return [torch.cat(lane) if lane else torch.empty(0, dtype=torch.long) for lane in lanes]

    def sample_id(self, index: int) -> str:
        group, row = self._at(index)
        return f"{self.name}/{self.names[self.groups.file[group]]}#{self.groups.first[group] + row}"

    def stored(self, index: int) -> Stored:
        name, row = self.sample_id(index), self.reader.row(*self._at(index))
        label, captions = self.columns.label_of(row), self.columns.captions_of(row)
        caption = (
            picked_caption(captions, name, self.seed, self.whole)
            if captions
            else self.columns.template(label)
        )
        return Stored(
            Sample(name, caption, label, captions=captions), _image(row.get(self.columns.image))
        )

    def _at(self, index: int) -> tuple[int, int]:
        """(row group, row in it)."""
        place = int(np.searchsorted(self.starts, index, side="right")) - 1
        return int(self.chosen[place]), index - int(self.starts[place])


def open_hub_stream(place: str, split: str, image_size: int, seed: int = 0) -> Source:
    """One split of a data set: its own, where it has several; else a hash of each row group's place
    keeps a tenth of them for val and a tenth for test. ``place`` is a hub name ("owner/name",
    "owner/name:configuration") or a folder of parquet.

    Raises MuseError where the data set is not to be had, is no parquet, or has no images.
    """
    check_split(split)
    folder = user_path(place) if user_path(place).is_dir() else None
    name, source = folder.name if folder else place, f"hf-stream:{place}"
    builder = _builder(place, folder)
    files = {str(part): tuple(map(str, paths)) for part, paths in builder.config.data_files.items()}
    read: dict[str, Any] = {}

    def fractions(part: str) -> np.ndarray:
        groups, schema = read_footers(files[part])
        if not len(groups):
            why = next(iter(groups.damage), "its files hold no rows")
            raise MuseError(
                f"{source} has nothing to read ({why}): download it again, or give another data set."
            )
        names = tuple(_name(path, folder) for path in files[part])
        read.update(groups=groups, schema=schema, names=names)
        spots = zip(groups.file, groups.number, strict=True)
        return np.array([hash_fraction(f"{name}/{names[file]}#{number}") for file, number in spots])

    _, chosen = split_of(source, files, fractions, split)
    columns = columns_of(source, _features(source, builder, read["schema"]))
    return HubStream(name, read["groups"], chosen, read["names"], columns, split, image_size, seed)


def _builder(place: str, folder: Path | None) -> "DatasetBuilder":
    """What `datasets` knows about a data set before anything is downloaded: its files by split.
    Raises MuseError.
    """
    import datasets

    name, _, configuration = (str(folder), "", "") if folder else place.partition(":")
    try:
        builder = datasets.load_dataset_builder(name, configuration or None)
    except Exception as error:  # as in hub.py
        raise cannot_be_opened(f"hf-stream:{place}", error) from error
    if builder.name == "parquet" and builder.config.data_files:
        return builder
    tars = builder.name == "webdataset"
    better = (
        f"hf:{place}"
        if not tars
        else f"wds:{place}"
        if folder
        else "wds: after `hf download --repo-type dataset`"
    )
    raise MuseError(
        f"hf-stream:{place} holds {'tar shards' if tars else f'{builder.name} files'} and no parquet: read it with {better}."
    )


def _features(source: str, builder: "DatasetBuilder", schema: Any) -> Mapping[str, Any]:
    """The columns, and the classes' names: as the data set's card says, else as its files say.
    Raises MuseError.
    """
    from datasets import Features

    try:
        return builder.info.features or Features.from_arrow_schema(schema)
    except Exception as error:
        raise cannot_be_opened(source, error) from error


def _places(held: int, groups: int) -> int | None:
    """Few enough for several row groups to follow one another at each; a split that a reader holds
    whole has any order.
    """
    return None if groups <= held else max(STEPS, min(held, groups // 4))


def _name(path: str, folder: Path | None) -> str:
    """What a file is called in its data set, wherever that lies and whatever its revision."""
    if folder and "://" not in path:
        return Path(os.path.relpath(path, folder)).as_posix()
    inside = _IN_REPOSITORY.fullmatch(path)
    return inside[1] if inside else path


def _image(value: Any) -> bytes:
    """The bytes in a row. Raises Unreadable where it only names a file."""
    content = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(content, bytes):
        raise Unreadable("no image in its row")
    return content
