"""`FileSource`: the one source behind every folder of image files, whose openers only list its
samples; and the opener of `folder:PATH`: one sub-folder a class, with or without train/, val/ and
test/ above them.
"""

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path

from muse_core.data.class_prompts import class_words, photo_caption
from muse_core.data.folders import existing_folder, image_files
from muse_core.data.notes import Notes
from muse_core.data.reading import MaskMeaning, ReadSource, Sample, Stored
from muse_core.data.splits import (
    NO_OPTIONS,
    SPLITS,
    Options,
    check_parts,
    keys_of,
    named_parts,
    split_called,
)
from muse_core.data.text_files import readable
from muse_core.errors import MuseError

LAYOUT = (
    "one sub-folder of images a class (PATH/cat/1.jpg), or such folders under PATH/train and "
    "PATH/val"
)


CONTAINERS = {"images", "image", "imgs", "img", "jpegimages"}
"""Folders that hold the images of a data set, and are no class."""
BESIDE_CONTAINERS = {"masks", "mask", "labels", "annotations", "segmentationclass"}


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
        self.name, self.place, self.unreadable = readable(self.name), readable(str(self.root)), {}
        self.masks = self.masks if any(sample.mask for sample in self.samples) else None
        self.with_instances = self.masks is not None and self.masks.instances is not None
        self.mask_class_names = self.masks.names if self.masks else ()

    def __len__(self) -> int:
        return len(self.samples)

    @cached_property
    def fingerprint(self) -> str:
        """A hash over the samples' names, words and file sizes, the split and the image size;
        contents are not read, and where the folder lies does not count.
        """
        digest = blake2b(f"{self.split}/{self.image_size}px".encode(), digest_size=8)
        for sample in self.samples:
            facts = f"{sample}{self.file_sizes[sample.id]}"
            digest.update(facts.encode("utf-8", "surrogateescape"))
        return f"files/{self.split}/{self.image_size}px/{digest.hexdigest()}"

    @cached_property
    def file_sizes(self) -> dict[str, int]:
        """Name of each image -> bytes; -1 for one that is gone."""
        places = {sample.id: self.root / sample.id for sample in self.samples}
        return {
            name: file.stat().st_size if file.is_file() else -1 for name, file in places.items()
        }

    def sample_id(self, index: int) -> str:
        return self.samples[index].id

    def stored(self, index: int) -> Stored:
        sample = self.samples[index]
        mask = self.root / sample.mask if sample.mask and self.masks else None
        return Stored(sample, self.root / sample.id, mask, mask if self.with_instances else None)


def open_folder(
    root: Path, split: str, image_size: int, options: Options = NO_OPTIONS
) -> FileSource:
    """The images of one split; a class is a folder's name, its caption "a photo of a {name}".

    Args:
        root: the folder; one that holds nothing but another such folder is as good.
        split: "train", "val" or "test"; folders that are called like splits, above the classes or
            below them, are used as they are (see `muse_core.data.splits`), without them a hash of
            each file's path decides.
        image_size: pixels a side.
        options: "train", "val", "test": the folder that is this split.

    Raises:
        MuseError: for a missing or empty folder, for a split without images, and where it is open
            which folders are splits.
    """
    notes, parts, classes = Notes(), defaultdict[str, list[str]](list), dict[str, str]()
    files = image_files(existing_folder(root, LAYOUT), notes)
    folders = [name.split("/")[:-1] for name in files]
    split_place, class_place = _places(folders, root, options)
    inside = defaultdict[str, dict[str, list[str]]](dict)
    for name, above in zip(files, folders, strict=True):
        if len(above) <= max(split_place, class_place):
            _note_unclassed(name, notes)
        else:
            part = above[split_place] if split_place >= 0 else ""
            inside[part][name] = above[class_place:]
    for part, below in inside.items():
        depth = _class_depth(list(below.values()), 0 <= split_place < class_place)
        for name, above in below.items():
            if depth is None or len(above) <= depth:
                _note_unclassed(name, notes)
            else:
                parts[part].append(name)
                classes[name] = readable(above[depth])
    if not parts:
        said = f" ({notes.lines()[-1]})" if notes.lines() else ""
        raise MuseError(f"{root} holds no images in class folders{said}: it should have {LAYOUT}.")
    used = named_parts(parts, root, options).values()
    for part in parts.keys() - set(used):
        mend = f"say which split it is, as ?test={readable(part)}"
        notes.add("image in a folder of no split", parts[part][0], mend, len(parts[part]))
    names = sorted({classes[name] for part in used for name in parts[part]})
    words, label = class_words(names), {name: number for number, name in enumerate(names)}
    samples = []
    for key in keys_of(split, parts, root, options):
        number = label[classes[key]]
        samples.append(Sample(key, (photo_caption(words[number]),), number))
    return FileSource(
        root.name, root, split, image_size, tuple(samples), words, notes=notes.lines()
    )


def _note_unclassed(name: str, notes: Notes) -> None:
    notes.add("image outside a class folder", name, "put it into one that has its name")


def _class_depth(folders: list[list[str]], in_split: bool) -> int | None:
    """How deep the classes of a part lie below where they are sought: train/train/cat and
    train/images/cat are a cat. None where there is none, as in train/images/1.jpg.
    """
    for depth in range(max(map(len, folders))):
        names = {above[depth].casefold() for above in folders if len(above) > depth}
        again = in_split and len(names) == 1 and any(map(split_called, names))
        held = bool(names & CONTAINERS) and names <= CONTAINERS | BESIDE_CONTAINERS
        if not (again or held):
            return depth
        if len(names) > 1:
            return None
    return None


def _places(folders: list[list[str]], root: Path, options: Options) -> tuple[int, int]:
    """Where among the folders of each image the one of its split stands (-1: nowhere), and the one
    of its class. Raises MuseError where that is open.
    """

    def level(place: int) -> set[str]:
        return {above[place] for above in folders if len(above) > place}

    def branches(place: int) -> bool:
        return len(level(place)) > 1 or any(map(split_called, level(place)))

    top, deepest = 0, max(map(len, folders), default=0)
    # A folder that stands alone holds a data set, and is no class.
    while (
        not branches(top)
        and any(branches(place) for place in range(top + 1, deepest))
        and all(len(above) != top + 1 for above in folders)
    ):
        top += 1
    names, asked = level(top), {options[split] for split in SPLITS if split in options}
    check_parts(sorted(names), root, options)
    called = {name for name in names if split_called(name)} | asked
    splits = {split_called(name) for name in called}
    if called and (called == names or asked or {"train"} < splits):
        return top, top + 1
    # A train may also be what the images show.
    flat = all(len(above) == top + 1 for above in folders if above[top : top + 1] == ["train"])
    vehicle = called == {"train"} and flat
    if called and not vehicle:
        first, others = min(called), ", ".join(sorted(names - called)[:5])
        raise MuseError(
            f"{root} has a folder {first} beside others that are called like no split ({others}): "
            f"put class folders into {root / 'train'}, or say "
            f"?{split_called(first)}={first} behind its name."
        )
    below = {split_called(name) for name in level(top + 1)}
    inside = {"train"} < below and None not in below
    return (top + 1, top) if inside and min(map(len, folders)) > top + 1 else (-1, top)
