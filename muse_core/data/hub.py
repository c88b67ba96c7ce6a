"""`hf:NAME`: a data set of the Hugging Face hub, or a local folder that `datasets` reads (saved,
parquet, tar shards).

Arrow tables, memory-mapped: any row can be read at any time. No code that comes with a data set is
ever run.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from muse_core.data.batch import NO_LABEL
from muse_core.data.class_prompts import photo_caption
from muse_core.data.columns import Columns, columns_of
from muse_core.data.decode import Unreadable
from muse_core.data.reading import Encoded, ReadSource, Sample, Stored
from muse_core.data.splits import dealt, hash_fraction, share_of
from muse_core.errors import MuseError
from muse_core.paths import user_path

if TYPE_CHECKING:
    from datasets import Dataset

SAVED = ("dataset_dict.json", "state.json")
"""What `save_to_disk` leaves in a folder."""


@dataclass(frozen=True)
class Place:
    """Where a data set is: a folder, or else a name on the hub and a configuration of it."""

    text: str
    folder: Path | None

    @classmethod
    def of(cls, text: str) -> "Place":
        return cls(text, user_path(text) if user_path(text).is_dir() else None)

    @property
    def name(self) -> str:
        return self.folder.name if self.folder else self.text

    @property
    def home(self) -> Path | None:
        """The folder, with all links followed."""
        return self.folder and Path(os.path.realpath(self.folder))

    @property
    def arguments(self) -> tuple[str, str | None]:
        """What `datasets` takes: a path and a configuration."""
        name, _, configuration = self.text.partition(":")
        return (str(self.folder), None) if self.folder else (name, configuration or None)


class HubSource(ReadSource):
    """One split of a data set.

    Args:
        place: where it is.
        table: its rows.
        rows: those of the split.
        split: which split that is.
        image_size: pixels a side.
    """

    def __init__(
        self, place: Place, table: "Dataset", rows: np.ndarray, split: str, image_size: int
    ) -> None:
        self.name, self.place, self.home = place.name, f"the data set hf:{place.name}", place.home
        self.columns = columns_of(f"hf:{place.text}", table.features)
        self.table, self.rows, self.split = undecoded(table, self.columns), rows, split
        self.image_size, self.class_names = image_size, self.columns.class_names
        self.unreadable = {}

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def fingerprint(self) -> str:
        """A hash over the table's columns, rows and bytes, the split and image size; images are
        not read.
        """
        facts = (self.table.features, len(self.table), self.table.data.nbytes)
        digest = blake2b(repr(facts).encode("utf-8", "replace"), digest_size=8)
        digest.update(np.ascontiguousarray(self.rows).tobytes())
        return f"{self.name}/{self.split}/{self.image_size}px/{digest.hexdigest()}"

    def sample_id(self, index: int) -> str:
        return f"{self.name}#{self.rows[index]}"

    def stored(self, index: int) -> Stored:
        try:
            row = self.table[int(self.rows[index])]
        except Exception as error:
            # Arrow has its own family of errors for damaged files.
            raise Unreadable(f"its row cannot be read: {error}") from error
        return stored_row(self.sample_id(index), row, self.columns, self.home)


def open_hub(text: str, split: str, image_size: int, seed: int = 0) -> HubSource:
    """One split of a data set; its columns are found by name (`muse_core.data.columns`).

    Args:
        text: a hub name ("owner/name", "owner/name:configuration") or a folder.
        split: "train", "val" or "test": the data set's own, where it has several; else a hash of
            each row's number decides.
        image_size: pixels a side.
        seed: changes nothing here.

    Raises:
        MuseError: where the data set is not to be had, or has no images.
    """
    place = Place.of(text)
    tables = _tables(place)
    part, shares = share_of(split, tables, f"hf:{place.name}")
    fractions = [hash_fraction(f"{place.name}#{row}") for row in range(len(tables[part]))]
    rows = dealt(split, np.array(fractions), shares, f"hf:{place.name}")
    return HubSource(place, tables[part], rows, split, image_size)


def stored_row(name: str, row: Mapping[str, Any], columns: Columns, home: Path | None) -> Stored:
    """A row of a data set as a sample. Raises Unreadable."""
    label, captions = columns.label_of(row), columns.captions_of(row)
    class_name = None if label == NO_LABEL else columns.class_names[label]
    sample = Sample(name, captions or (photo_caption(class_name),), label)
    return Stored(sample, _image(row.get(columns.image), home))


def _image(value: Any, home: Path | None) -> Encoded:
    """The bytes in a row; of an image that it only names, the file, where that lies in the data
    set's own folder.
    """
    value = value if isinstance(value, dict) else {"bytes": value}
    if isinstance(value.get("bytes"), bytes):
        return value["bytes"]
    path = value.get("path")
    if home is None or not path or not Path(os.path.realpath(path)).is_relative_to(home):
        raise Unreadable("no image in its row")
    return Path(path)


def _tables(place: Place) -> dict[str, "Dataset"]:
    """Every split of the data set, by the name it has there. Raises MuseError."""
    import datasets

    try:
        if place.folder and any((place.folder / name).is_file() for name in SAVED):
            found = datasets.load_from_disk(str(place.folder))
        else:
            found = datasets.load_dataset(*place.arguments)
    except Exception as error:
        # A wrong name, no network, a damaged file: each library below has its own errors.
        raise cannot_be_opened(f"hf:{place.text}", error) from error
    return (
        {str(name): each for name, each in found.items()}
        if isinstance(found, dict)
        else {"train": found}
    )


def cannot_be_opened(source: str, error: Exception) -> MuseError:
    """The sentence for a data set that is not to be had, with the first line of why."""
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    return MuseError(
        f"The data set {source} cannot be opened ({reason[:300]}): give a folder with parquet "
        "files, or a hub name while there is a network."
    )


def undecoded(table: Any, columns: Columns) -> Any:
    """The table with images as bytes, so that our own reader judges them."""
    from datasets import Image

    if not isinstance(table.features[columns.image], Image):
        return table
    return table.cast_column(columns.image, Image(decode=False))
