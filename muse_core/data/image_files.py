"""`FileSource`: the one source behind every folder of image files, whose openers only list its
samples; and the opener of `folder:PATH`: one sub-folder a class, with or without train/, val/ and
test/ above them.
"""

import os
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path

from muse_core.data.class_prompts import photo_caption
from muse_core.data.reading import MaskMeaning, ReadSource, Sample, Stored
from muse_core.data.splits import SPELLINGS, keys_of
from muse_core.errors import MuseError

IMAGE_SUFFIXES = frozenset(
    [".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"]
)
LAYOUT = (
    "one sub-folder of images a class (PATH/cat/1.jpg), or such folders under PATH/train and "
    "PATH/val"
)


@dataclass(eq=False)
class FileSource(ReadSource):
    """Images of one split, each a file under ``root``.

    Args:
        name: for figures.
        root: the folder.
        split: which split these samples are.
        image_size: pixels a side.
        samples: in the order of their positions.
        class_names: of the labels.
        masks: what the numbers in mask files mean.
        notes: what the folder holds and these samples leave out.
    """

    name: str
    root: Path
    split: str
    image_size: int
    samples: tuple[Sample, ...]
    class_names: tuple[str, ...] = ()
    masks: MaskMeaning | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.place, self.unreadable = str(self.root), {}
        self.masks = self.masks if any(sample.mask for sample in self.samples) else None
        self.with_instances = self.masks is not None and self.masks.instances is not None
        self.mask_class_names = self.masks.names if self.masks else ()

    def __len__(self) -> int:
        return len(self.samples)

    @cached_property
    def fingerprint(self) -> str:
        """A hash over the samples' names, words and file sizes, the split and the image size;
        contents are not read.
        """
        digest = blake2b(f"{self.split}/{self.image_size}px".encode(), digest_size=8)
        for sample in self.samples:
            path = self.root / sample.id
            size = path.stat().st_size if path.is_file() else -1
            digest.update(f"{sample}{size}".encode("utf-8", "surrogateescape"))
        return f"{self.name}/{self.split}/{self.image_size}px/{digest.hexdigest()}"

    def sample_id(self, index: int) -> str:
        return self.samples[index].id

    def stored(self, index: int) -> Stored:
        sample = self.samples[index]
        mask = self.root / sample.mask if sample.mask and self.masks else None
        return Stored(sample, self.root / sample.id, mask, mask if self.with_instances else None)


def open_folder(root: Path, split: str, image_size: int, seed: int = 0) -> FileSource:
    """The images of one split; a class is a folder's name, its caption "a photo of a {name}".

    Args:
        root: the folder.
        split: "train", "val" or "test"; ``train/`` with ``val/`` and/or ``test/`` are used as they
            are (see `muse_core.data.splits`), without them a hash of each file's path decides.
        image_size: pixels a side.
        seed: changes nothing here.

    Raises:
        MuseError: for a missing or empty folder, and for a split without images.
    """
    divided = _split_folders(existing_folder(root, LAYOUT))
    depth = 1 if divided else 0
    keys = [key for key in image_keys(root) if key.count("/") > depth]
    if not keys:
        raise MuseError(f"{root} holds no images in class folders: it should have {LAYOUT}.")
    parts: dict[str, list[str]] = {part: [] for part in divided.values()} or {"": keys}
    for key in keys if divided else []:
        if (first := key.split("/")[0]) in divided:
            parts[divided[first]].append(key)
    names = sorted({key.split("/")[depth] for part in parts.values() for key in part})
    label = {name: index for index, name in enumerate(names)}
    words = tuple(name.replace("_", " ") for name in names)
    samples = []
    for key in keys_of(split, parts, root):
        number = label[key.split("/")[depth]]
        samples.append(Sample(key, (photo_caption(words[number]),), number))
    return FileSource(root.name, root, split, image_size, tuple(samples), words)


def image_keys(root: Path) -> list[str]:
    """Every image under the folder, relative to it and sorted; hidden files and folders are passed
    over.
    """
    keys = []
    for folder, below, names in os.walk(root, followlinks=True):
        below[:] = [name for name in below if not name.startswith(".")]
        inside = Path(folder).relative_to(root)
        keys += [(inside / name).as_posix() for name in names if _is_image(name)]
    return sorted(keys)


def text_lines(path: Path) -> list[str]:
    """The lines of a text file. Raises MuseError where it is something else."""
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise MuseError(f"{path} is no text (line {line}): save it as UTF-8 text.") from error
    except OSError as error:
        raise MuseError(f"{path} cannot be read ({error.strerror}): mend it.") from error


def existing_folder(path: Path, layout: str) -> Path:
    """The folder itself. Raises MuseError, with the layout it should have, when there is no such
    folder.
    """
    if not path.is_dir():
        raise MuseError(f"There is no folder {path}: give the path of a folder with {layout}.")
    return path


def _is_image(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def _split_folders(root: Path) -> dict[str, str]:
    """The folders that are splits, by name; none unless train is there and another beside it."""
    found = {one.name: SPELLINGS[one.name] for one in root.iterdir() if one.name in SPELLINGS}
    found = {name: split for name, split in found.items() if (root / name).is_dir()}
    return found if "train" in found and len(found) > 1 else {}
