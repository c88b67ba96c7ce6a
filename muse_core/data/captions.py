"""`captions:PATH`: images with sentences, one JSON object a line in PATH/captions.jsonl.

Fields: ``file_name`` (under PATH/images or PATH), ``captions`` (a list) or ``caption``; optionally ``label`` (or
``labels``, used when it names one class) and ``split``. Labels may also stand in PATH/metadata.jsonl, by file name.
Masks are PATH/masks_voc21/NAME.png or PATH/masks/NAME.png: one class number a pixel, 255 = void.
"""

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muse_core.data.batches import NO_LABEL
from muse_core.data.files import FileSource, Sample, existing_folder
from muse_core.data.masks import find_masks
from muse_core.data.splits import SPELLINGS, choose, complete, deal, hash_fraction
from muse_core.errors import MuseError, unknown

LAYOUT = 'PATH/captions.jsonl (lines such as {"file_name": "1.jpg", "captions": ["a cat"]}) and PATH/images'
IMAGE_FOLDERS = ("images", ".")


@dataclass(frozen=True)
class Row:
    """One line of captions.jsonl."""

    file_name: str
    captions: tuple[str, ...]
    label: str | None
    split: str | None


def open_captions(root: Path, split: str, image_size: int, seed: int = 0) -> FileSource:
    """The captioned images of one split; of several captions a hash of (seed, file name) picks one.

    Raises MuseError for a missing folder, a line that cannot be understood, and a split without images.
    """
    rows = {row.file_name: row for row in _rows(existing_folder(root, LAYOUT)) if row.captions}
    images = _images_folder(root, list(rows))
    chosen = choose(_parts(list(rows.values())), split, root)
    names = sorted({row.label for row in rows.values() if row.label is not None})
    label: dict[str | None, int] = {name: index for index, name in enumerate(names)}
    masks, meaning = find_masks(root)
    samples = tuple(
        Sample(
            id=f"{images}/{name}".removeprefix("./"),
            caption=_pick(rows[name], seed),
            label=label.get(rows[name].label, NO_LABEL),
            mask=masks.get(Path(name).stem),
        )
        for name in chosen
    )
    return FileSource(root.name, root, split, image_size, samples, tuple(names), meaning)


def _rows(root: Path) -> list[Row]:
    if not (root / "captions.jsonl").is_file():
        raise MuseError(f"There is no captions.jsonl in {root}: it should have {LAYOUT}.")
    labels = {str(line.get("file_name")): _label(line) for line in _lines(root / "metadata.jsonl")}
    return [_row(line, labels, root) for line in _lines(root / "captions.jsonl")]


def _lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON Lines file (none if it is absent). Raises MuseError with the number of a bad line."""
    objects = []
    for number, text in enumerate(path.read_bytes().splitlines() if path.is_file() else [], start=1):
        try:
            value = json.loads(text) if text.strip() else {}
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise MuseError(f"Line {number} of {path} is not a JSON object: mend or delete that line.")
        objects += [value] if value else []
    return objects


def _row(line: dict[str, Any], labels: dict[str, str | None], root: Path) -> Row:
    name, split = line.get("file_name"), line.get("split")
    texts = line.get("captions", line.get("caption", []))
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(name, str) or not isinstance(texts, list):
        raise MuseError(f"A line of {root / 'captions.jsonl'} lacks file_name or captions: it should have {LAYOUT}.")
    if split is not None and str(split) not in SPELLINGS:
        raise unknown(f"split of {name} in {root / 'captions.jsonl'}", split, SPELLINGS)
    captions = tuple(text.strip() for text in texts if isinstance(text, str) and text.strip())
    return Row(name, captions, label=_label(line) or labels.get(name), split=SPELLINGS.get(split))


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
    raise MuseError(f"{root} holds none of the images its captions.jsonl names: it should have {LAYOUT}.")


def _parts(rows: list[Row]) -> dict[str, list[str]]:
    """File names by split: as the file says (a line that says nothing is train), else by hash."""
    if all(row.split is None for row in rows):
        return deal(row.file_name for row in rows)
    parts = defaultdict(list)
    for row in rows:
        parts[row.split or "train"].append(row.file_name)
    return complete(parts)


def _pick(row: Row, seed: int) -> str:
    return row.captions[int(hash_fraction(f"{seed}/{row.file_name}") * len(row.captions))]
