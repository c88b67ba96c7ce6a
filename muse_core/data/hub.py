"""`hf:NAME`: a data set of the Hugging Face hub, or a local folder that `datasets` reads (saved,
parquet, tar shards).

Arrow tables, memory-mapped: any row can be read at any time. No code that comes with a data set is
ever run.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from muse_core.data.batch import NO_LABEL
from muse_core.data.class_prompts import class_words, photo_caption
from muse_core.data.columns import (
    Columns,
    captions_in,
    class_order,
    columns_of,
    is_absent,
    label_in,
)
from muse_core.data.decode import Unreadable
from muse_core.data.folders import listing
from muse_core.data.notes import Notes
from muse_core.data.reading import Encoded, ReadSource, Sample, Stored
from muse_core.data.splits import (
    NO_OPTIONS,
    Options,
    dealt,
    hash_fraction,
    named_parts,
    share_of,
)
from muse_core.errors import MuseError
from muse_core.paths import user_path

if TYPE_CHECKING:
    from datasets import Dataset

SAVED = ("dataset_dict.json", "state.json")
"""What `save_to_disk` leaves in a folder."""
LISTS = (".csv", ".jsonl", ".parquet", ".json", ".tsv")
MOST_CLASSES = 100_000
"""Words or numbers of a label that are classes; what has more is none."""


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
        columns: those that are read.
        rows: those of the split.
        split: which split that is.
        image_size: pixels a side.
        notes: what the data set holds and is not used.
    """

    def __init__(
        self,
        place: Place,
        table: "Dataset",
        columns: Columns,
        rows: np.ndarray,
        split: str,
        image_size: int,
        notes: tuple[str, ...] = (),
    ) -> None:
        self.name, self.place, self.home = place.name, f"the data set hf:{place.name}", place.home
        self.table, self.rows, self.split = undecoded(table, columns), rows, split
        self.columns, self.image_size, self.class_names = columns, image_size, columns.class_names
        self.unreadable, self.notes = {}, notes

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


def open_hub(text: str, split: str, image_size: int, options: Options = NO_OPTIONS) -> HubSource:
    """One split of a data set; its columns are found by name (`muse_core.data.columns`).

    Args:
        text: a hub name ("owner/name", "owner/name:configuration") or a folder.
        split: "train", "val" or "test": the data set's own, where it has several; else a hash of
            each row's number decides.
        image_size: pixels a side.
        options: the column of the words, and parts by split.

    Raises:
        MuseError: where the data set is not to be had, or has no images.
    """
    place, source, notes = Place.of(text), f"hf:{text}", Notes()
    tables = _tables(place)
    part, shares = share_of(split, tables, source, options)
    used = named_parts(tables, source, options).values()
    for name in tables.keys() - set(used):
        mend = f"say which split it is, as ?test={name}"
        notes.add("row of a part that is no split", name, mend, len(tables[name]))
    columns = columns_of(source, tables[part].features, notes, options)
    columns = with_classes(columns, [tables[name] for name in used], notes)
    _note_lists(place, tables[part], notes)
    wordless = _wordless(tables[part], columns.captions)
    mend = "add words; without, it is called a photo of its class"
    notes.add("row without words", f"column {columns.captions}", mend, wordless)
    fractions = [hash_fraction(f"{place.name}#{row}") for row in range(len(tables[part]))]
    rows = dealt(split, np.array(fractions), shares, f"hf:{place.name}")
    return HubSource(place, tables[part], columns, rows, split, image_size, notes.lines())


def _note_lists(place: Place, table: "Dataset", notes: Notes) -> None:
    """Of a folder of images `datasets` reads no list but metadata.csv and its like."""
    if place.folder and table.info.builder_name == "imagefolder":
        for file in listing(place.folder, Notes()).files:
            name = PurePosixPath(file)
            if name.suffix.lower() in LISTS and name.stem.lower() != "metadata":
                mend = f"call it metadata{name.suffix.lower()}, with a column file_name"
                notes.add("list that is not read", file, mend)


def _wordless(table: "Dataset", column: str | None) -> int:
    """How many rows have nothing in their column of words."""
    if not column:
        return 0
    words: Any = table.select_columns([column]).with_format("arrow")[:]
    return sum(_says_nothing(each) for part in words[column].chunks for each in part.to_pylist())


def _says_nothing(value: object) -> bool:
    """Whether no caption is in it; what is no text at all is found when its row is read."""
    with suppress(ValueError):
        return is_absent(value) or not captions_in(value)
    return False


def with_classes(columns: Columns, tables: list["Dataset"], notes: Notes) -> Columns:
    """The columns with the classes of a label that is plain words or numbers: all that the tables
    hold.
    """
    label = columns.label
    if not label or columns.class_names:
        return columns
    tables = [table for table in tables if label in table.features]
    plain = all(getattr(table.features[label], "dtype", "list") != "list" for table in tables)
    values = [value for table in tables for value in table.unique(label)] if plain else []
    classes = class_order(map(label_in, values))
    if not 0 < len(classes) <= MOST_CLASSES:
        notes.add("column of labels that are no classes", label, "make it words or numbers")
        return replace(columns, label=None)
    return replace(columns, classes=classes, class_names=class_words(classes, spaces=False))


def stored_row(name: str, row: Mapping[str, Any], columns: Columns, home: Path | None) -> Stored:
    """A row of a data set as a sample. Raises Unreadable."""
    label, captions = columns.label_of(row), columns.captions_of(row)
    named = columns.named and label != NO_LABEL
    caption = photo_caption(columns.class_names[label] if named else None)
    sample = Sample(name, captions or (caption,), label)
    return Stored(sample, _image(row.get(columns.image), home))


def _image(value: Any, home: Path | None) -> Encoded:
    """The bytes in a row; of an image that it only names, the file, where that lies in the data
    set's own folder.
    """
    if isinstance(value, str):
        value = {"path": value}
    value = value if isinstance(value, dict) else {"bytes": value}
    if isinstance(value.get("bytes"), bytes):
        return value["bytes"]
    path = str(value.get("path") or "")
    if "://" in path:
        mend = "download the images first, for example with img2dataset, and read its shards"
        raise Unreadable("an address in place of an image", mend)
    file = Path(os.path.realpath(os.path.join(home or "", path)))
    if home is None or not path or not file.is_relative_to(home):
        raise Unreadable("no image in its row")
    return file


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
