"""`captions:PATH`: images with sentences, one JSON object a line in PATH/captions.jsonl.

Fields: ``file_name`` (under PATH/images or PATH) and ``captions`` (a list) or ``caption``;
optionally ``label`` (or ``labels``, used when it names one class) and ``split``. Labels may also
stand in PATH/metadata.jsonl, by file name. Masks are PATH/masks_voc21/NAME.png or
PATH/masks/NAME.png: one class number a pixel, 255 = void.
"""

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muse_core.data.batch import NO_LABEL
from muse_core.data.columns import captions_in, parsed_json
from muse_core.data.image_files import FileSource, existing_folder
from muse_core.data.masks import find_masks
from muse_core.data.reading import Sample
from muse_core.data.splits import SPELLINGS, keys_of
from muse_core.errors import MuseError, unknown

LAYOUT = (
    'PATH/captions.jsonl (lines such as {"file_name": "1.jpg", "captions": ["a cat"]}) and '
    "PATH/images"
)
IMAGE_FOLDERS = ("images", ".")


@dataclass(frozen=True)
class Row:
    """One line of captions.jsonl, and its number."""

    number: int
    file_name: str
    captions: tuple[str, ...]
    label: str | None
    split: str


def open_captions(root: Path, split: str, image_size: int, seed: int = 0) -> FileSource:
    """The captioned images of one split.

    Args:
        root: the folder.
        split: "train", "val" or "test": as the lines say (one that says nothing is train); where
            none does, by a hash of each file's name.
        image_size: pixels a side.
        seed: changes nothing here.

    Raises:
        MuseError: for a missing folder, a line that cannot be understood or names a file outside
            the folder, and a split without images.
    """
    rows = {row.file_name: row for row in _rows(existing_folder(root, LAYOUT)) if row.captions}
    images = _images_folder(root, list(rows))
    _refuse_outsiders(root, images, list(rows.values()))
    parts = defaultdict(list)
    for row in rows.values():
        parts[row.split].append(row.file_name)
    names = sorted({row.label for row in rows.values() if row.label is not None})
    label: dict[str | None, int] = {name: index for index, name in enumerate(names)}
    masks, meaning = find_masks(root)
    samples = tuple(
        Sample(
            id=f"{images}/{name}".removeprefix("./"),
            captions=rows[name].captions,
            label=label.get(rows[name].label, NO_LABEL),
            mask=masks.get(Path(name).stem),
        )
        for name in keys_of(split, parts, root)
    )
    return FileSource(root.name, root, split, image_size, samples, tuple(names), meaning)


def _rows(root: Path) -> list[Row]:
    listed = root / "captions.jsonl"
    if not listed.is_file():
        raise MuseError(f"There is no captions.jsonl in {root}: it should have {LAYOUT}.")
    labels = {
        str(line.get("file_name")): _label(line) for _, line in _lines(root / "metadata.jsonl")
    }
    return [_row(number, line, labels, f"of {listed}") for number, line in _lines(listed)]


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Numbers and objects of a JSON Lines file (none if it is absent). Raises MuseError with the
    number of a bad line.
    """
    lines = path.read_bytes().splitlines() if path.is_file() else []
    for number, text in enumerate(lines, start=1):
        try:
            value = parsed_json(text) if text.strip() else {}
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise MuseError(
                f"Line {number} of {path} is not a JSON object: mend or delete that line."
            )
        if value:
            yield number, value


def _row(number: int, line: dict[str, Any], labels: dict[str, str | None], where: str) -> Row:
    name, split = line.get("file_name"), line.get("split")
    try:
        captions = captions_in(line.get("captions", line.get("caption", [])))
    except ValueError:
        captions = None
    if not isinstance(name, str) or captions is None:
        raise MuseError(
            f"Line {number} {where} lacks file_name or captions: it should have {LAYOUT}."
        )
    if split is not None and str(split) not in SPELLINGS:
        raise unknown(f"split in line {number} {where}", split, SPELLINGS)
    label = _label(line) or labels.get(name)
    return Row(number, name, captions, label, "train" if split is None else SPELLINGS[split])


def _label(line: dict[str, Any]) -> str | None:
    """The one class a line names, if it names one: ``label``, or a ``labels`` list of one."""
    several = line.get("labels")
    only = several[0] if isinstance(several, list) and len(several) == 1 else None
    given = line.get("label", only)
    return None if given is None else str(given)


def _images_folder(root: Path, names: list[str]) -> str:
    for folder in IMAGE_FOLDERS:
        if any(os.path.isfile(root / folder / name) for name in names):
            return folder
    raise MuseError(
        f"{root} holds none of the images its captions.jsonl names: it should have {LAYOUT}."
    )


def _refuse_outsiders(root: Path, images: str, rows: list[Row]) -> None:
    """Raises MuseError for the first line whose file is not inside the folder, or a link that leads
    out of it.
    """
    home = os.path.realpath(root)
    for row in rows:
        try:
            file = os.path.realpath(root / images / row.file_name)
            inside = file != home and os.path.commonpath([home, file]) == home
        except ValueError:
            inside = False
        if not inside:
            raise MuseError(
                f"Line {row.number} of {root / 'captions.jsonl'} names {row.file_name[:100]!r}, "
                "not a file inside the folder: put the file itself there, or delete that line."
            )
