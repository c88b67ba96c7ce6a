"""`captions:PATH`: images with sentences, one JSON object a line in PATH/captions.jsonl.

Fields: ``file_name`` (under PATH/images or PATH) and ``captions`` (a list) or ``caption``;
optionally ``label`` (or ``labels``, used when it names one class) and ``split``; other names that
are read stand in `muse_core.data.columns`. PATH/metadata.jsonl may say more of the same files, and
several lines of one file add up. Masks are PATH/masks_voc21/NAME.png or PATH/masks/NAME.png: one
class number a pixel, 255 = void.
"""

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muse_core.data.batch import NO_LABEL
from muse_core.data.class_prompts import class_words
from muse_core.data.columns import (
    CAPTION_COLUMNS,
    FILE_COLUMNS,
    LABEL_COLUMNS,
    SPLIT_COLUMNS,
    captions_in,
    class_order,
    known,
    label_in,
    unread_words,
    value_of,
)
from muse_core.data.folders import Listing, existing_folder, finder, listing, no_image, spelled
from muse_core.data.image_files import FileSource
from muse_core.data.masks import find_masks
from muse_core.data.notes import Notes
from muse_core.data.reading import Sample
from muse_core.data.splits import NO_OPTIONS, SPLITS, Options, by_folder, keys_of, split_called
from muse_core.data.text_files import folded, json_lines
from muse_core.errors import MuseError, shown, unknown

LISTED = "captions.jsonl"
LISTS = (LISTED, "metadata.jsonl")
TABLES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
LAYOUT = (
    f'PATH/{LISTED} (lines such as {{"file_name": "1.jpg", "captions": ["a cat"]}}) and PATH/images'
)
IMAGE_FOLDERS = ("images", ".")


@dataclass
class Row:
    """What lists say of one file.

    Args:
        name: as they call it.
        where: the first line that does.
        labels: whether a line says something of its class, be it one or not.
    """

    name: str
    where: str
    captions: tuple[str, ...]
    classes: tuple[str, ...]
    split: str | None
    labels: bool

    @property
    def label(self) -> str | None:
        """Its one class, if it has one."""
        return self.classes[0] if len(self.classes) == 1 else None

    def join(self, other: "Row") -> None:
        """Add what another line says of the same file. Raises MuseError for another split."""
        if self.split and other.split and self.split != other.split:
            raise MuseError(
                f"L{self.where[1:]} and {other.where} put {shown(self.name)} into two splits: "
                "mend one."
            )
        self.captions = tuple(dict.fromkeys((*self.captions, *other.captions)))
        self.classes = tuple(dict.fromkeys((*self.classes, *other.classes)))
        self.split = self.split or other.split
        self.labels |= other.labels


def open_captions(
    root: Path, split: str, image_size: int, options: Options = NO_OPTIONS
) -> FileSource:
    """The captioned images of one split.

    Args:
        root: the folder.
        split: "train", "val" or "test": as the lines say (one that says nothing is train); where
            none does, as folders are called, else by a hash of each file's name.
        image_size: pixels a side.
        options: "column": the field with the words.

    Raises:
        MuseError: for a missing folder, a line that cannot be understood or names a file outside
            the folder, and a split without images.
    """
    notes = Notes()
    rows = _rows(existing_folder(root, LAYOUT), options, notes)
    folder, files = _images(root, rows, notes)
    parts, named = defaultdict[str, list[str]](list), {row.name: row for row in files.values()}
    for row in files.values():
        parts[row.split or "train"].append(row.name)
    if not any(row.split for row in files.values()):
        parts = by_folder(row.name for row in files.values())
    for row in files.values():
        if row.labels and row.label is None:
            notes.add("image without one class", row.where, "name one class a line")
    classes = class_order(row.label for row in files.values())
    label: dict[str | None, int] = {name: index for index, name in enumerate(classes)}
    masks, meaning = find_masks(root, files, notes)
    file = {row.name: name for name, row in files.items()}
    samples = tuple(
        Sample(
            id=f"{folder}/{file[name]}".removeprefix("./"),
            captions=named[name].captions,
            label=label.get(named[name].label, NO_LABEL),
            mask=masks.get(file[name]),
        )
        for name in keys_of(split, parts, root, options)
    )
    words = class_words(classes, spaces=False)
    return FileSource(root.name, root, split, image_size, samples, words, meaning, notes.lines())


def _rows(root: Path, options: Options, notes: Notes) -> dict[str, Row]:
    """What is said of each file, by its name in the lists."""
    lists = _lists(root)
    if not lists:
        raise MuseError(f"There is no {LISTED} in {root}: it should have {LAYOUT}.")
    table = (options["column"],) if "column" in options else CAPTION_COLUMNS
    rows: dict[str, Row] = {}
    for file in sorted(root.iterdir()):
        if file.suffix.lower() in TABLES and file.name not in LISTS:
            notes.add("list that is not read", file.name, f"write its lines into {LISTED}")
    for file in lists:
        for number, line in json_lines(file):
            row = _row(line, f"line {number} of {file}", table)
            for name in unread_words(line, known(line, table)):
                notes.add("field of words", f"{name} in {row.where}", f"ask for ?column={name}")
            row.name = _below(root, file.parent, row.name)
            row.split = row.split or (split_called(file.parent.name) if file.parent != root else "")
            if row.name in rows:
                rows[row.name].join(row)
            else:
                rows[row.name] = row
    return rows


def _lists(root: Path) -> list[Path]:
    """The lists in the folder, and in its sub-folders that are called like splits."""
    inside = (one for one in root.iterdir() if one.is_dir() and split_called(one.name))
    files = (folder / file for folder in (root, *sorted(inside)) for file in LISTS)
    return [file for file in files if file.is_file()]


def _below(root: Path, folder: Path, name: str) -> str:
    """A file's name relative to the root, of one that a list in this folder names."""
    if os.path.isabs(name) and "\0" not in name:
        home, file = os.path.realpath(root), os.path.normpath(name)
        beside = (one for one in (str(root), home) if Path(file).is_relative_to(one))
        return next((os.path.relpath(file, one) for one in beside), name)
    return name if folder == root else f"{folder.name}/{name}"


def _row(line: dict[str, Any], where: str, table: tuple[str, ...]) -> Row:
    name, said = value_of(line, FILE_COLUMNS), value_of(line, SPLIT_COLUMNS)
    try:
        captions = captions_in([line[each] for each in known(line, table)], table)
    except ValueError:
        captions = None
    if not isinstance(name, str) or captions is None:
        raise MuseError(f"L{where[1:]} lacks file_name or captions: it should have {LAYOUT}.")
    split = said if said is None else split_called(said)
    if said is not None and split is None:
        raise unknown(f"split in {where}", said, SPLITS)
    given = value_of(line, LABEL_COLUMNS)
    label = label_in(given)
    return Row(name, where, captions, (label,) if label else (), split, given is not None)


def _images(root: Path, rows: dict[str, Row], notes: Notes) -> tuple[str, dict[str, Row]]:
    """The folder of the images, and by its file in there each row that has words. What has none, or
    no file, and what no row names, is noted.

    Raises:
        MuseError: for a name outside the folder, a link that leads out, and where no file is there.
    """
    folder, there, found = _first_folder(root, rows, notes)
    named: dict[str, Row] = {}
    for row in rows.values():
        file = found.get(row.name)
        if not _is_inside(root / folder, file, there) if file else _leads_out(row.name):
            raise MuseError(
                f"L{row.where[1:]} names {shown(row.name)}, not a file inside the folder: put the "
                "file itself there, or delete that line."
            )
        if file is None:
            notes.add("line with an absent image", f"{row.name} in {row.where}", "put it there")
        elif file in named:
            named[file].join(row)
        else:
            named[file] = row
    used = {file: row for file, row in named.items() if row.captions}
    for row in named.values():
        if not row.captions:
            notes.add("line without words", row.where, "add captions, or name their ?column=")
    if not used:
        said = f" ({notes.lines()[0]})" if notes.lines() else ""
        raise MuseError(
            f"{root} holds none of the images its {LISTED} names{said}: it should have {LAYOUT}."
        )
    for file in (*there.files, *there.twice):
        if file not in named and (why := _unlisted(folder, file)):
            notes.add(*why)
    return folder, used


def _first_folder(
    root: Path, rows: dict[str, Row], notes: Notes
) -> tuple[str, Listing, dict[str, str]]:
    """The first of `IMAGE_FOLDERS` that holds images of these rows, all that is in it, and each
    row's file.
    """
    for folder in (spelled(root, one) for one in IMAGE_FOLDERS):
        said, home = Notes(), root / folder
        there = listing(home, said) if home.is_dir() else Listing()
        find = finder([*there.files, *there.twice])
        tried = {name: find(name) or find(folded(name).removeprefix("images/")) for name in rows}
        if found := {name: file for name, file in tried.items() if file}:
            notes.include(said)
            return folder, there, found
    return IMAGE_FOLDERS[-1], Listing(), {}


def _unlisted(folder: str, file: str) -> tuple[str, str, str] | None:
    """Why a file that no row names is not used; None for one that is no image, where the lists
    themselves and masks lie beside them.
    """
    why = no_image(file)
    if folder == "." and (why or file.startswith("masks")):
        return None
    return why or ("image that no line names", file, f"add a line to {LISTED}")


def _leads_out(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return "\0" in name or ".." in parts or os.path.isabs(name)


def _is_inside(home: Path, file: str, there: Listing) -> bool:
    """Whether a file lies where it is listed; folders may be links, files only to beside them."""
    target, homes = there.targets.get(file), (home.parent, home, (home / file).parent)
    return target is None or any(
        Path(target).is_relative_to(os.path.realpath(one)) for one in homes
    )
