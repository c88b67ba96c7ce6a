"""ImgEdit's basic benchmark: one instruction an image (Ye et al. 2025, arXiv 2505.20275).

The official layout is read and written: ``singleturn.json``, key -> ``id`` (the image's file),
``prompt``, ``edit_type``; and edited images, ``<key>.png``. The official score asks a large model;
here edits of drawn scenes are judged by a detector and by the pixels that were to stay.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from muse_core.errors import MuseError
from muse_core.results.records import write_json, write_png

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
    try:
        said = json.loads((place / SINGLE_TURN).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise MuseError(
            f"The benchmark {place} cannot be read ({SINGLE_TURN}: {type(error).__name__}): give "
            f"the folder that holds {SINGLE_TURN} and its images."
        ) from error
    if not isinstance(said, dict):
        raise MuseError(f"{SINGLE_TURN} in {place} is no mapping: give ImgEdit's own file.")
    items, notes = [], []
    for key, entry in said.items():
        lacking = [name for name in FIELDS if not isinstance(entry, dict) or name not in entry]
        if lacking:
            notes.append(f"item {key} of {SINGLE_TURN}: no {', '.join(lacking)}")
        elif not (image := place / str(entry["id"])).is_file():
            notes.append(f"item {key} of {SINGLE_TURN}: its image {entry['id']} is missing")
        else:
            items.append(EditItem(str(key), image, str(entry["prompt"]), str(entry["edit_type"])))
    if not items:
        raise MuseError(f"No item of {place} is whole: {'; '.join(notes[:3]) or 'it has none'}.")
    return EditBenchmark(tuple(items), tuple(notes))


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
