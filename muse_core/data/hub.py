"""`hf:NAME`: a data set of the Hugging Face hub, or a local folder that `datasets` reads (saved,
parquet, tar shards).

Arrow tables, memory-mapped: any row can be read at any time. No code that comes with a data set is
ever run."""

import os
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from muse_core.data.batch import Source
from muse_core.data.caption_sampling import picked_caption
from muse_core.data.decode import Unreadable
from muse_core.data.hub_columns import columns_of
from muse_core.data.hub_splits import split_of
from muse_core.data.reading import Encoded, ReadSource, Sample, Stored
from muse_core.data.splits import check_split, hash_fraction
from muse_core.errors import MuseError
from muse_core.paths import user_path

if TYPE_CHECKING:
    from datasets import Dataset

SAVED = ("dataset_dict.json", "state.json")
"""What `save_to_disk` leaves in a folder."""


class HubSource(ReadSource):
    """One split of a data set: ``rows`` of its table, whose columns were found by name."""

    def __init__(
        self,
        name: str,
        table: "Dataset",
        rows: np.ndarray,
        split: str,
        image_size: int,
        seed: int = 0,
        home: Path | None = None,
        whole: bool = False,
    ) -> None:
        self.name, self.table, self.rows, self.split = name, table, rows, split
        self.image_size, self.seed, self.home, self.whole = image_size, seed, home, whole
        self.place = f"the data set hf:{name}"
        self.columns = columns_of(f"hf:{name}", table.features)
        self.class_names = self.columns.class_names
        self.unreadable: dict[str, str] = {}

    def described(self) -> "HubSource":
        return HubSource(
            self.name,
            self.table,
            self.rows,
            self.split,
            self.image_size,
            self.seed,
            self.home,
            whole=True,
        )

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def fingerprint(self) -> str:
        """A hash over the table's columns, rows and bytes, the split, image size and seed; images
        are not read.
        """
        facts = (
            self.table.features,
            len(self.table),
            self.table.data.nbytes,
            self.seed,
            self.whole,
        )
        digest = blake2b(repr(facts).encode("utf-8", "replace"), digest_size=8)
        digest.update(np.ascontiguousarray(self.rows))
        return f"{self.name}/{self.split}/{self.image_size}px/{digest.hexdigest()}"

    def sample_id(self, index: int) -> str:
        return f"{self.name}#{self.rows[index]}"

    def stored(self, index: int) -> Stored:
        name = self.sample_id(index)
        try:
            row = self.table[int(self.rows[index])]
        except Exception as error:  # Arrow has its own family of errors for damaged files
            raise Unreadable(f"its row cannot be read: {error}") from error
        label, captions = self.columns.label_of(row), self.columns.captions_of(row)
        caption = (
            picked_caption(captions, name, self.seed, self.whole)
            if captions
            else self.columns.template(label)
        )
        return Stored(
            Sample(name, caption, label, captions=captions), self._image(row[self.columns.image])
        )

    def _image(self, value: Any) -> Encoded:
        """The bytes in the table; of an image that it only names, the file, where that lies in the
        data set's own folder.
        """
        value = value if isinstance(value, dict) else {"bytes": value}
        if isinstance(value.get("bytes"), bytes):
            return value["bytes"]
        path = value.get("path")
        if (
            self.home is None
            or not path
            or not Path(os.path.realpath(path)).is_relative_to(self.home)
        ):
            raise Unreadable("no image in its row")
        return Path(path)


def open_hub(place: str, split: str, image_size: int, seed: int = 0) -> Source:
    """One split of a data set: its own, where it has several; else a hash of each row's number
    keeps a tenth for val and a tenth for test. ``place`` is a hub name ("owner/name",
    "owner/name:configuration") or a folder.

    Columns are found by name: an image, captions or a text, a label. Raises MuseError where the
    data set is not to be had, or has no images."""
    check_split(split)
    folder = user_path(place) if user_path(place).is_dir() else None
    name = folder.name if folder else place
    tables = _tables(place, folder)
    part, rows = split_of(
        f"hf:{name}", tables, lambda part: _fractions(name, len(tables[part])), split
    )
    image = columns_of(f"hf:{place}", tables[part].features).image
    table = _undecoded(tables[part], image)
    return HubSource(
        name, table, rows, split, image_size, seed, folder and Path(os.path.realpath(folder))
    )


def _tables(place: str, folder: Path | None) -> dict[str, "Dataset"]:
    """Every split of the data set, by the name it has there. Raises MuseError."""
    import datasets

    try:
        if folder and any((folder / name).is_file() for name in SAVED):
            found = datasets.load_from_disk(str(folder))
        else:
            name, _, configuration = (str(folder), "", "") if folder else place.partition(":")
            found = datasets.load_dataset(name, configuration or None)
    except (
        Exception
    ) as error:  # a wrong name, no network, a damaged file: each library below has its own errors
        raise cannot_be_opened(f"hf:{place}", error) from error
    return dict(found) if isinstance(found, dict) else {"train": found}


def cannot_be_opened(source: str, error: Exception) -> MuseError:
    """The sentence for a data set that is not to be had, with the first line of why."""
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    return MuseError(
        f"The data set {source} cannot be opened ({reason[:300]}): give a folder with parquet files, or a hub name while there "
        "is a network."
    )


def _fractions(name: str, length: int) -> np.ndarray:
    return np.array([hash_fraction(f"{name}#{row}") for row in range(length)])


def _undecoded(table: "Dataset", column: str) -> "Dataset":
    """The table with images as bytes, so that our own reader judges them."""
    from datasets import Image

    return (
        table.cast_column(column, Image(decode=False))
        if isinstance(table.features[column], Image)
        else table
    )
