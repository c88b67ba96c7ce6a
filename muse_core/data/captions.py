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
    value_of,
)
from muse_core.data.folders import Listing, existing_folder, finder, listing, no_image
from muse_core.data.image_files import FileSource
from muse_core.data.masks import find_masks
from muse_core.data.notes import Notes
from muse_core.data.reading import Sample
from muse_core.data.splits import NO_OPTIONS, SPLITS, Options, keys_of, split_called
from muse_core.data.text_files import folded, json_lines, readable
from muse_core.errors import MuseError, shown, unknown

LISTED = "captions.jsonl"
LISTS = (LISTED, "metadata.jsonl")
LAYOUT = (
    f'PATH/{LISTED} (lines such as {{"file_name": "1.jpg", "captions": ["a cat"]}}) and PATH/images'
)
IMAGE_FOLDERS = ("images", ".")


@dataclass
class Row:
    """What the lines of one file say, and where the first of them stands."""

    where: str
    captions: tuple[str, ...] = ()
    label: str | None = None
    split: str | None = None
    labels: bool = False
    """Whether a line says something of its class that is not one."""


def open_captions(
    root: Path, split: str, image_size: int, options: Options = NO_OPTIONS
) -> FileSource:
    """The captioned images of one split.

    Args:
        root: the folder.
        split: "train", "val" or "test": as the lines say (one that says nothing is train); where
            none does, by a hash of each file's name.
        image_size: pixels a side.
        options: "column": the field with the words.

    Raises:
        MuseError: for a missing folder, a line that cannot be understood or names a file outside
            the folder, and a split without images.
    """
    notes = Notes()
    rows = _rows(existing_folder(root, LAYOUT), options, notes)
    folder, files = _images(root, rows, notes)
    parts = defaultdict[str, list[str]](list)
    for name in files:
        parts[rows[name].split or "train"].append(name)
    classes = class_order(rows[name].label for name in files)
    label: dict[str | None, int] = {name: index for index, name in enumerate(classes)}
    masks, meaning = find_masks(root, files.values(), notes)
    samples = tuple(
        Sample(
            id=f"{folder}/{files[name]}".removeprefix("./"),
            captions=rows[name].captions,
            label=label.get(rows[name].label, NO_LABEL),
            mask=masks.get(files[name]),
        )
        for name in keys_of(split, parts, root, options)
    )
    words = class_words(classes, spaces=False)
    return FileSource(root.name, root, split, image_size, samples, words, meaning, notes.lines())


def _rows(root: Path, options: Options, notes: Notes) -> dict[str, Row]:
    """What is said of each file, by its name in the lists."""
    if not (root / LISTED).is_file():
        raise MuseError(f"There is no {LISTED} in {root}: it should have {LAYOUT}.")
    rows: dict[str, Row] = {}
    for file in LISTS:
        for number, line in json_lines(root / file):
            _add(rows, line, f"line {number} of {root / file}", options)
    for row in rows.values():
        if row.labels and row.label is None:
            notes.add("image without one class", row.where, "name one class a line")
    return rows


def _add(rows: dict[str, Row], line: dict[str, Any], where: str, options: Options) -> None:
    name = value_of(line, FILE_COLUMNS)
    table = (options["column"],) if "column" in options else CAPTION_COLUMNS
    try:
        captions = captions_in([line[each] for each in known(line, table)], table)
    except ValueError:
        captions = None
    if not isinstance(name, str) or captions is None:
        raise MuseError(f"L{where[1:]} lacks file_name or captions: it should have {LAYOUT}.")
    row = rows.setdefault(name, Row(where))
    row.captions = tuple(dict.fromkeys((*row.captions, *captions)))
    said, given = value_of(line, SPLIT_COLUMNS), value_of(line, LABEL_COLUMNS)
    if said is not None:
        called = split_called(said)
        if called is None:
            raise unknown(f"split in {where}", said, SPLITS)
        if row.split not in (None, called):
            raise MuseError(f"{row.where} and {where} put {shown(name)} into two splits: mend one.")
        row.split = called
    row.label = row.label or label_in(given)
    row.labels |= given is not None


def _images(root: Path, rows: dict[str, Row], notes: Notes) -> tuple[str, dict[str, str]]:
    """The folder of the images, and in it the file of each row that has words. What has none, or no
    file, and what no row names, is noted.

    Raises:
        MuseError: for a name outside the folder, a link that leads out, and where no file is there.
    """
    folder, there, found = _first_folder(root, rows, notes)
    named: dict[str, str] = {}
    for name, row in rows.items():
        file = found.get(name)
        if not _is_inside(root / folder, file, there) if file else _leads_out(name):
            raise MuseError(
                f"L{row.where[1:]} names {shown(name)}, not a file inside the folder: put the file "
                "itself there, or delete that line."
            )
        if not row.captions:
            notes.add("line without words", row.where, "add captions, or name their ?column=")
        elif file is None:
            notes.add("line with an absent image", row.where, f"put {readable(name)} there")
        elif file in named:
            first = rows[named[file]]
            first.captions = tuple(dict.fromkeys((*first.captions, *row.captions)))
        else:
            named[file] = name
    if not named:
        said = f" ({notes.lines()[0]})" if notes.lines() else ""
        raise MuseError(
            f"{root} holds none of the images its {LISTED} names{said}: it should have {LAYOUT}."
        )
    listed = set(found.values())
    for file in (*there.files, *there.twice):
        if file not in listed and (why := _unlisted(folder, file)):
            notes.add(*why)
    return folder, {name: file for file, name in named.items()}


def _first_folder(
    root: Path, rows: dict[str, Row], notes: Notes
) -> tuple[str, Listing, dict[str, str]]:
    """The first of `IMAGE_FOLDERS` that holds images of these rows, all that is in it, and each
    row's file.
    """
    for folder in IMAGE_FOLDERS:
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
