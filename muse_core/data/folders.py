"""`folder:PATH`: one sub-folder a class, with or without train/, val/ and test/ above them."""

import os
from collections import defaultdict
from pathlib import Path

from muse_core.data.class_prompts import with_article
from muse_core.data.image_files import FileSource, Sample, existing_folder
from muse_core.data.splits import SPELLINGS, choose, complete, deal
from muse_core.errors import MuseError

IMAGE_SUFFIXES = frozenset(
    [".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"]
)
LAYOUT = "one sub-folder of images a class (PATH/cat/1.jpg), or such folders under PATH/train and PATH/val"


def open_folder(root: Path, split: str, image_size: int, seed: int = 0) -> FileSource:
    """The images of one split; a class is a folder's name, its caption "a photo of a {name}" ("an"
    where it should be).

    ``train/`` with ``val/`` and/or ``test/`` are used as they are (see `splits.complete`); without
    them a hash of each file's path keeps a tenth for val and a tenth for test. ``seed`` changes
    nothing here. Raises MuseError for a missing or empty folder and for a split without images."""
    depth = 1 if _comes_with_splits(existing_folder(root, LAYOUT)) else 0
    keys = [key for key in image_keys(root) if key.count("/") > depth]
    if not keys:
        raise MuseError(f"{root} holds no images in class folders: it should have {LAYOUT}.")
    parts = complete(_by_first_folder(keys)) if depth else deal(keys)
    chosen = choose(parts, split, root)
    names = tuple(sorted({key.split("/")[depth] for part in parts.values() for key in part}))
    label = {name: index for index, name in enumerate(names)}
    samples = tuple(_sample(key, key.split("/")[depth], label) for key in chosen)
    return FileSource(root.name, root, split, image_size, samples, tuple(map(_words, names)))


def image_keys(root: Path) -> list[str]:
    """Every image under the folder, relative to it and sorted; hidden files and folders are passed
    over.
    """
    keys = []
    for folder, below, names in os.walk(root, followlinks=True):
        below[:] = [name for name in below if not name.startswith(".")]
        inside = Path(folder).relative_to(root)
        keys += [
            (inside / name).as_posix()
            for name in names
            if not name.startswith(".") and _is_image(name)
        ]
    return sorted(keys)


def _sample(key: str, name: str, label: dict[str, int]) -> Sample:
    return Sample(id=key, caption=f"a photo of {with_article(_words(name))}", label=label[name])


def _words(folder_name: str) -> str:
    return folder_name.replace("_", " ")


def _comes_with_splits(root: Path) -> bool:
    present = {
        SPELLINGS[folder.name]
        for folder in root.iterdir()
        if folder.name in SPELLINGS and folder.is_dir()
    }
    return "train" in present and len(present) > 1


def _by_first_folder(keys: list[str]) -> dict[str, list[str]]:
    """Keys by the split their first folder names; other folders beside train/ and val/ are passed
    over.
    """
    parts = defaultdict(list)
    for key in keys:
        if (first := key.split("/")[0]) in SPELLINGS:
            parts[SPELLINGS[first]].append(key)
    return parts


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES
