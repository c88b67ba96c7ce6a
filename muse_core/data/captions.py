"""`captions:PATH`: images with sentences, one JSON object a line in PATH/captions.jsonl.

Fields: ``file_name`` (under PATH/images or PATH), ``captions`` (a list) or ``caption``; optionally
``label`` (or ``labels``, used when it names one class) and ``split``. Labels may also stand in
PATH/metadata.jsonl, by file name. Masks are PATH/masks_voc21/NAME.png or PATH/masks/NAME.png: one
class number a pixel, 255 = void."""

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muse_core.data.batch import NO_LABEL
from muse_core.data.caption_sampling import clean_captions, picked_caption
from muse_core.data.image_files import FileSource, Sample, existing_folder
from muse_core.data.masks import find_masks
from muse_core.data.parsing import is_plain_name, parsed_object
from muse_core.data.splits import SPELLINGS, choose, complete, deal
from muse_core.errors import MuseError, unknown

LAYOUT = 'PATH/captions.jsonl (lines such as {"file_name": "1.jpg", "captions": ["a cat"]}) and PATH/images'
IMAGE_FOLDERS = ("images", ".")


@dataclass(frozen=True)
class Row:
    """One line of captions.jsonl, and its number."""

    number: int
    file_name: str
    captions: tuple[str, ...]
    label: str | None
    split: str | None


def open_captions(root: Path, split: str, image_size: int, seed: int = 0) -> FileSource:
    """The captioned images of one split; of several captions a hash of (seed, file name) picks one,
    of a long one a sentence.

    Raises MuseError for a missing folder, a line that cannot be understood or names a file outside
    the folder, and a split without images."""
    rows = {row.file_name: row for row in _rows(existing_folder(root, LAYOUT)) if row.captions}
    images = _images_folder(root, list(rows))
    _refuse_outsiders(root, images, list(rows.values()))
    chosen = choose(_parts(list(rows.values())), split, root)
    names = sorted({row.label for row in rows.values() if row.label is not None})
    label: dict[str | None, int] = {name: index for index, name in enumerate(names)}
    masks, meaning = find_masks(root)
    samples = tuple(
        Sample(
            id=f"{images}/{name}".removeprefix("./"),
            caption=picked_caption(rows[name].captions, name, seed),
            captions=rows[name].captions,
            label=label.get(rows[name].label, NO_LABEL),
            mask=masks.get(Path(name).stem),
        )
        for name in chosen
    )
    return FileSource(root.name, root, split, image_size, samples, tuple(names), meaning)


def _rows(root: Path) -> list[Row]:
    if not (root / "captions.jsonl").is_file():
        raise MuseError(f"There is no captions.jsonl in {root}: it should have {LAYOUT}.")
    labels = {
        str(line.get("file_name")): _label(line) for _, line in _lines(root / "metadata.jsonl")
    }
    return [_row(number, line, labels, root) for number, line in _lines(root / "captions.jsonl")]


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Numbers and objects of a JSON Lines file (none if it is absent). Raises MuseError with the
    number of a bad line.
    """
    for number, text in enumerate(
        path.read_bytes().splitlines() if path.is_file() else [], start=1
    ):
        try:
            value = parsed_object(text) if text.strip() else {}
        except ValueError as error:
            raise MuseError(
                f"Line {number} of {path} is not a JSON object: mend or delete that line."
            ) from error
        if value:
            yield number, value


def _row(number: int, line: dict[str, Any], labels: dict[str, str | None], root: Path) -> Row:
    name, split, where = line.get("file_name"), line.get("split"), f"of {root / 'captions.jsonl'}"
    try:
        captions = clean_captions(line.get("captions", line.get("caption", [])))
    except ValueError:
        captions = None
    if not isinstance(name, str) or captions is None:
        raise MuseError(
            f"Line {number} {where} lacks file_name or captions: it should have {LAYOUT}."
        )
    if not is_plain_name(name):
        raise MuseError(
            f"Line {number} {where} names {name[:100]!r}, not a file inside the folder: mend or delete that line."
        )
    if split is not None and str(split) not in SPELLINGS:
        raise unknown(f"split in line {number} {where}", split, SPELLINGS)
    return Row(
        number, name, captions, label=_label(line) or labels.get(name), split=SPELLINGS.get(split)
    )


def _label(line: dict[str, Any]) -> str | None:
    """The one class a line names, if it names one: ``label``, or a ``labels`` list of one."""
    several = line.get("labels")
    only = several[0] if isinstance(several, list) and len(several) == 1 else None
    given = line.get("label", only)
    return None if given is None else str(given)


def _images_folder(root: Path, names: list[str]) -> str:
    for folder in IMAGE_FOLDERS:
        if any((root / folder / name).is_file() for name in names):
            return folder
    raise MuseError(
        f"{root} holds none of the images its captions.jsonl names: it should have {LAYOUT}."
    )


def _parts(rows: list[Row]) -> dict[str, list[str]]:
    """File names by split: as the file says (a line that says nothing is train), else by hash."""
    if all(row.split is None for row in rows):
        return deal(row.file_name for row in rows)
    parts = defaultdict(list)
    for row in rows:
        parts[row.split or "train"].append(row.file_name)
    return complete(parts)


def _refuse_outsiders(root: Path, images: str, rows: list[Row]) -> None:
    """Raises MuseError for the first line whose file is a link that leads out of the folder."""
    home = os.path.realpath(root)
    for row in rows:
        if os.path.commonpath([home, os.path.realpath(root / images / row.file_name)]) != home:
            raise MuseError(
                f"Line {row.number} of {root / 'captions.jsonl'} names {row.file_name!r}, a link that leads out of "
                f"{root}: put the file itself there, or delete that line."
            )
