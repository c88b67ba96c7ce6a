"""ImgEdit's basic benchmark: one instruction an image (Ye et al. 2025, arXiv 2505.20275).

The official layout is read and written: ``singleturn.json``, key -> ``id`` (the image's file),
``prompt``, ``edit_type``; and edited images, ``<key>.png``. The official score asks a large model;
here edits of drawn scenes are judged by a detector and by the pixels that were to stay.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from muse_core.errors import MuseError, shown
from muse_core.results.records import write_json, write_png
from muse_core.unified.official_files import file_name, read_official, words

SINGLE_TURN = "singleturn.json"
FIELDS = ("id", "prompt", "edit_type")


@dataclass(frozen=True)
class EditItem:
    """One instruction about one image."""

    key: str
    image: Path
    prompt: str
    kind: str


@dataclass(frozen=True)
class EditBenchmark:
    """Items in order, and what of the folder could not be read, a sentence each."""

    items: tuple[EditItem, ...]
    notes: tuple[str, ...] = field(default=())


def read_imgedit(folder: str | Path) -> EditBenchmark:
    """A folder with ``singleturn.json`` and the images it names; what is missing is noted.

    Raises:
        MuseError: The file is missing, is no mapping, or no item is whole.
    """
    place = Path(folder)
    file, wanted = place / SINGLE_TURN, f"the folder that holds {SINGLE_TURN} and its images"
    text = read_official(file, wanted)
    try:
        # A key that stands twice is an item each, so that neither is lost unseen.
        said = json.loads(text, object_pairs_hook=list)
    except (ValueError, RecursionError) as error:
        raise MuseError(f"{file} is no JSON ({error}): give {wanted}.") from error
    if not isinstance(said, list) or not all(isinstance(each, tuple) for each in said):
        raise MuseError(f"{file} is no mapping: give {wanted}.")
    items, notes = [], []
    for key, entry in said:
        try:
            items.append(_item(place, key, entry, {item.key for item in items}))
        except ValueError as error:
            notes.append(f"item {shown(key)} of {SINGLE_TURN}: {error}")
    if not items:
        raise MuseError(f"No item of {place} is whole: {'; '.join(notes[:3]) or 'it has none'}.")
    return EditBenchmark(tuple(items), tuple(notes))


def _item(place: Path, key: str, entry: Any, taken: set[str]) -> EditItem:
    pairs = entry if isinstance(entry, list) else []
    if not pairs or not all(isinstance(each, tuple) for each in pairs):
        raise ValueError("it is no object")
    fields = dict(pairs)
    name, prompt, kind = (words(fields, each) for each in FIELDS)
    if file_name(key) in taken:
        raise ValueError("its key stands twice")
    image = place / name
    if not image.resolve().is_relative_to(place.resolve()):
        raise ValueError(f"its image {shown(name)} is not in the folder")
    if not _is_file(image):
        raise ValueError(f"its image {shown(name)} is missing")
    return EditItem(key, image, prompt, kind)


def _is_file(place: Path) -> bool:
    # A name can be longer than a disk takes.
    try:
        return place.is_file()
    except OSError:
        return False


def write_imgedit(folder: Path, items: Sequence[EditItem], images: Sequence[Image.Image]) -> Path:
    """A benchmark of one's own in the official layout; ``images``: before the edit, one an item.

    Raises:
        MuseError: The disk refuses.
    """
    said = {}
    for item, image in zip(items, images, strict=True):
        file = write_png(folder / f"{item.key}.original.png", image)
        said[item.key] = {"id": file.name, "prompt": item.prompt, "edit_type": item.kind}
    write_json(folder / SINGLE_TURN, said)
    return folder


def write_edited(folder: Path, items: Sequence[EditItem], images: Sequence[Image.Image]) -> Path:
    """Edited images, as the official scorer reads them. Raises MuseError when the disk refuses."""
    for item, image in zip(items, images, strict=True):
        write_png(folder / f"{item.key}.png", image)
    return folder
