"""`hf:NAME`: a data set of the Hugging Face hub, or a local folder that `datasets` reads (saved, parquet, tar shards).

Arrow tables, memory-mapped: any row can be read at any time. No code that comes with a data set is ever run.
"""

import os
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from muse_core.data.batches import NO_LABEL, Source
from muse_core.data.images import Unreadable
from muse_core.data.prompts import with_article
from muse_core.data.reading import Encoded, ReadSource, Sample, Stored
from muse_core.data.splits import HALVES, SPELLINGS, check_split, deal_positions, hash_fraction, part_named
from muse_core.data.wording import clean_captions, picked_caption
from muse_core.errors import MuseError
from muse_core.paths import user_path

if TYPE_CHECKING:
    from datasets import Dataset

IMAGE_COLUMNS = ("image", "img", "jpg", "jpeg", "png", "webp", "pixel_values")
CAPTION_COLUMNS = ("captions", "caption", "text", "txt", "sentences", "json")
LABEL_COLUMNS = ("label", "labels", "cls", "fine_label", "class")
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
        self.image_column = _column(table, IMAGE_COLUMNS) or ""
        self.caption_column, self.label_column = _column(table, CAPTION_COLUMNS), _column(table, LABEL_COLUMNS)
        feature = table.features.get(self.label_column) if self.label_column else None
        self.class_names = tuple(getattr(feature, "names", ()))
        self.unreadable: dict[str, str] = {}

    def described(self) -> "HubSource":
        return HubSource(
            self.name, self.table, self.rows, self.split, self.image_size, self.seed, self.home, whole=True
        )

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def fingerprint(self) -> str:
        """A hash over the table's columns, rows and bytes, the split, image size and seed; images are not read."""
        facts = (self.table.features, len(self.table), self.table.data.nbytes, self.seed, self.whole)
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
        label = self._label(row)
        captions = self._captions(row)
        caption = picked_caption(captions, name, self.seed, self.whole) if captions else self._template(label)
        return Stored(Sample(name, caption, label, captions=captions), self._image(row[self.image_column]))

    def _captions(self, row: dict[str, Any]) -> tuple[str, ...]:
        value = row.get(self.caption_column) if self.caption_column else None
        if isinstance(value, dict):
            value = next((value[name] for name in CAPTION_COLUMNS if value.get(name)), None)
        try:
            return clean_captions([] if value is None else value)
        except ValueError as error:
            raise Unreadable(f"its {self.caption_column} is no text") from error

    def _label(self, row: dict[str, Any]) -> int:
        value = row.get(self.label_column) if self.label_column else None
        return value if isinstance(value, int) and 0 <= value < len(self.class_names) else NO_LABEL

    def _template(self, label: int) -> str:
        return "a photo" if label == NO_LABEL else f"a photo of {with_article(self.class_names[label])}"

    def _image(self, value: Any) -> Encoded:
        """The bytes in the table; of an image that it only names, the file, where that lies in the data set's own folder."""
        value = value if isinstance(value, dict) else {"bytes": value}
        if isinstance(value.get("bytes"), bytes):
            return value["bytes"]
        path = value.get("path")
        if self.home is None or not path or not Path(os.path.realpath(path)).is_relative_to(self.home):
            raise Unreadable("no image in its row")
        return Path(path)


def open_hub(place: str, split: str, image_size: int, seed: int = 0) -> Source:
    """One split of a data set: its own, where it has several; else a hash of each row's number keeps a tenth for val and
    a tenth for test. ``place`` is a hub name ("owner/name", "owner/name:configuration") or a folder.

    Columns are found by name: an image, captions or a text, a label. Raises MuseError where the data set is not to be had,
    or has no images.
    """
    check_split(split)
    folder = user_path(place) if user_path(place).is_dir() else None
    name = folder.name if folder else place
    tables = _tables(place, folder)
    part, rows = _rows(name, tables, split)
    table = tables[part]
    if _column(table, IMAGE_COLUMNS) is None:
        raise MuseError(
            f"hf:{place} has no column of images (it has: {', '.join(table.column_names)}): it should be called "
            f"{' or '.join(IMAGE_COLUMNS[:3])}."
        )
    return HubSource(name, _undecoded(table), rows, split, image_size, seed, folder and Path(os.path.realpath(folder)))


def _tables(place: str, folder: Path | None) -> dict[str, "Dataset"]:
    """Every split of the data set, by the name it has there. Raises MuseError."""
    import datasets

    try:
        if folder and any((folder / name).is_file() for name in SAVED):
            found = datasets.load_from_disk(str(folder))
        else:
            name, _, configuration = (str(folder), "", "") if folder else place.partition(":")
            found = datasets.load_dataset(name, configuration or None)
    except Exception as error:  # a wrong name, no network, a damaged file: each library below has its own errors
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise MuseError(
            f"The data set hf:{place} cannot be opened ({reason[:300]}): give a folder with parquet files, or a hub name "
            "while there is a network."
        ) from error
    return dict(found) if isinstance(found, dict) else {"train": found}


def _rows(name: str, tables: dict[str, "Dataset"], split: str) -> tuple[str, np.ndarray]:
    """The table that holds a split, and its rows there, in the order of a hash of their numbers."""
    known = {SPELLINGS[part]: part for part in tables if part in SPELLINGS}
    if len(known) < 2:
        (part,) = known.values() if known else list(tables)[:1]
        return part, part_named(split, deal_positions(_fractions(name, len(tables[part]))), f"hf:{name}")
    if "val" not in known and "test" in known and split != "train":
        halves = deal_positions(_fractions(name, len(tables[known["test"]])), HALVES)
        return known["test"], part_named(split, halves, f"hf:{name}")
    parts = {part: np.argsort(_fractions(name, len(tables[told])), kind="stable") for part, told in known.items()}
    return known.get(split, ""), part_named(split, parts, f"hf:{name}")


def _fractions(name: str, length: int) -> np.ndarray:
    return np.array([hash_fraction(f"{name}#{row}") for row in range(length)])


def _column(table: "Dataset", names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in table.column_names), None)


def _undecoded(table: "Dataset") -> "Dataset":
    """The table with images as bytes, so that our own reader judges them."""
    from datasets import Image

    column = _column(table, IMAGE_COLUMNS)
    return table.cast_column(column, Image(decode=False)) if isinstance(table.features[column], Image) else table
