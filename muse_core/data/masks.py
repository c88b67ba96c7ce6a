"""`masks:PATH`: images with segmentation masks and without words.

PATH/images/NAME.jpg (or another image format), and PATH/masks_voc21/NAME.png or else
PATH/masks/NAME.png: one class number a pixel, 255 = void. PATH/classes_voc21.txt or
PATH/classes.txt names the classes, one a line, class 0 first. PATH/official_split.tsv, if there is
one, has lines "NAME <tab> train, val or test"; PATH/train.txt, val.txt and test.txt list names, and
sub-folders may be called like splits.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

from muse_core.data.class_prompts import photo_caption
from muse_core.data.folders import existing_folder, image_files, spelled, without_suffix
from muse_core.data.image_files import FileSource
from muse_core.data.notes import Notes
from muse_core.data.reading import MaskMeaning, Sample
from muse_core.data.splits import NO_OPTIONS, SPLITS, Options, by_folder, keys_of, split_called
from muse_core.data.text_files import class_lines, folded, text_lines
from muse_core.errors import MuseError, unknown

LAYOUT = (
    "PATH/images/NAME.jpg, PATH/masks/NAME.png (one class number a pixel, 255 = void) and "
    "PATH/classes.txt"
)
MASK_FOLDERS = {"masks_voc21": "classes_voc21.txt", "masks": "classes.txt"}
"""Where masks may be, and the file beside them that names their classes, one a line."""
SPLIT_LIST = "official_split.tsv"
LIST_FOLDERS = ("", "splits", "ImageSets", "ImageSets/Segmentation")
"""Where lists of names, train.txt and others, may be; the first that holds any."""
TRAINVAL = "trainval"
UNREAD = (".txt", ".tsv", ".csv", ".json", ".parquet")
_AFFIXES = re.compile(
    r"^(?:masks?|labels?|seg(?:mentation)?|gt)[-_ ]+"
    r"|[-_ ]+(?:masks?|labels?|seg(?:mentation)?|gt|gtfine_labelids|leftimg8bit)$"
)
"""What people write before or behind an image's name to name its mask."""


def open_masks(
    root: Path, split: str, image_size: int, options: Options = NO_OPTIONS
) -> FileSource:
    """The images of one split that have a mask, all captioned "a photo", without label.

    A mask of another size than its image is laid over the whole of it.

    Args:
        root: the folder.
        split: "train", "val" or "test": as lists say (images they do not name are left out), else
            as sub-folders are called, else by a hash of each file's name.
        image_size: pixels a side.
        options: change nothing here.

    Raises:
        MuseError: for another layout, a missing list of classes, a line of the split list that
            cannot be understood, a mask of two images, and a split without images.
    """
    notes, samples = Notes(), dict[str, Sample]()
    root, homes = _homes(existing_folder(root, LAYOUT), notes)
    meaning = None
    for home in homes:
        folder = home + spelled(root / home, "images")
        images = image_files(root / folder, notes) if (root / folder).is_dir() else []
        masks, meaning = find_masks(root, images, notes, home)
        for name in images:
            if name in masks:
                image = f"{folder}/{name}"
                samples[home + name] = Sample(image, (photo_caption(),), mask=masks[name])
            else:
                mend = "give it one of the same name"
                notes.add("image without a mask", f"{folder}/{name}", mend)
    if meaning is None or not samples:
        said = f" ({notes.lines()[-1]})" if notes.lines() else ""
        raise MuseError(f"{root} holds no images with masks{said}: it should have {LAYOUT}.")
    if not meaning.names:
        file = root / MASK_FOLDERS[str(mask_folder(root / homes[-1]))]
        raise MuseError(
            f"The classes of the masks in {root} have no names: write {file}, one name a line, "
            "class 0 first."
        )
    parts = _parts(sorted(samples), root, notes)
    used = tuple(samples[name] for name in keys_of(split, parts, root, options))
    return FileSource(root.name, root, split, image_size, used, masks=meaning, notes=notes.lines())


def _homes(root: Path, notes: Notes) -> tuple[Path, list[str]]:
    """The folder, or the only one in it that holds images/, and where in it such folders are: ""
    or, for sub-folders that are called like splits, "train/", "val/", ...
    """
    inside = sorted(one.name for one in root.iterdir() if (one / spelled(one, "images")).is_dir())
    splits = [name for name in inside if split_called(name)]
    if (root / spelled(root, "images")).is_dir() or not inside:
        return root, [""]
    if not splits and len(inside) == 1:
        return root / inside[0], [""]
    for name in inside:
        if name not in splits:
            notes.add("folder of no split", name, "call it train, val or test")
    return root, [f"{name}/" for name in splits] or [""]


def find_masks(
    root: Path, images: Iterable[str], notes: Notes, home: str = ""
) -> tuple[dict[str, str], MaskMeaning | None]:
    """The mask of each image that has one, and what their numbers mean (None without a folder of
    masks).

    A mask has its image's path, with another suffix; one that is the only one of its name, and of
    whose name there is one image, may lie in another sub-folder. What says no more than that it
    is a mask, as in 1_mask.png, is no part of its name. Masks without an image are noted.

    Args:
        root: the folder.
        images: relative to the folder of images.
        notes: gain what is not used.
        home: where in the folder that of the masks is: "", or "train/".

    Raises:
        MuseError: where two images could have the same mask, or two masks the same image.
    """
    found = mask_folder(root / home)
    if found is None:
        return {}, None
    file = root / MASK_FOLDERS[found]
    file = file if file.is_file() else root / home / MASK_FOLDERS[found]
    folder = home + spelled(root / home, found)
    meaning = MaskMeaning(names=class_lines(file) if file.is_file() else ())
    pairs: dict[str, str] = {}
    masks = image_files(root / folder, notes)
    for key in (_path, _stem, _bare):
        used = set(pairs.values())
        left = _grouped((image for image in images if image not in pairs), key)
        free = _grouped((mask for mask in masks if mask not in used), key)
        for name in sorted(left.keys() & free.keys()):
            both = [*left[name], *(f"{folder}/{mask}" for mask in free[name])]
            if len(both) > 2:
                raise MuseError(
                    f"{root} leaves open whose mask is whose ({', '.join(both[:4])}): "
                    "give each image a mask of its own path, as images/a/1.jpg and masks/a/1.png."
                )
            pairs[left[name][0]] = free[name][0]
    used = set(pairs.values())
    for mask in masks:
        if mask not in used:
            notes.add("mask without an image", f"{folder}/{mask}", "name it like its image")
    return {image: f"{folder}/{mask}" for image, mask in pairs.items()}, meaning


def mask_folder(root: Path) -> str | None:
    """The first of `MASK_FOLDERS` that is there."""
    return next((name for name in MASK_FOLDERS if (root / spelled(root, name)).is_dir()), None)


def _path(name: str) -> str:
    return folded(without_suffix(name))


def _stem(name: str) -> str:
    return PurePosixPath(_path(name)).name


def _bare(name: str) -> str:
    """The path without what says that it is a mask."""
    path = PurePosixPath(folded(without_suffix(without_suffix(name))))
    return str(path.with_name(_AFFIXES.sub("", path.name) or path.name))


def _grouped(names: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    groups = defaultdict(list)
    for name in names:
        groups[key(name)].append(name)
    return groups


def _parts(names: list[str], root: Path, notes: Notes) -> dict[str, list[str]]:
    """File names by split: as lists say, else as sub-folders are called. Raises MuseError for one
    that lists put into two splits, and where they name none of the images.
    """
    lists, parts = _lists(root), defaultdict[str, list[str]](list)
    read = {*lists, *(root / file for file in MASK_FOLDERS.values())}
    for file in sorted(root.iterdir()):
        if file.suffix.lower() in UNREAD and file not in read:
            notes.add("list that is not read", file.name, f"write splits into {SPLIT_LIST}")
    if not lists:
        return by_folder(names)
    means = {name: {_path(name), _stem(name), f"images/{_path(name)}"} for name in names}
    meant, split = set[str]().union(*means.values()), dict[str, str]()
    for called, part, where in (line for file in lists for line in _told(file)):
        name = next((one for one in called if one in meant), None)
        if name is None:
            notes.add(
                "line of the split list without an image", where, "delete it or add the image"
            )
        # A trainval.txt comes first, and the lists of its parts say more.
        elif split.setdefault(name, part) in (part, TRAINVAL):
            split[name] = part
        else:
            raise MuseError(f"{root} has {name} in two splits (see {where}): mend one.")
    for name in names:
        if listed := means[name] & split.keys():
            parts[split_called(split[min(listed)]) or ""].append(name)
        else:
            notes.add("image outside the split list", f"images/{name}", "add a line for it")
    if not parts:
        raise MuseError(
            f"The lists of {root} name none of its images ({notes.lines()[-1]}): write names as "
            f"they are in images/, as {names[0]}."
        )
    return parts


def _lists(root: Path) -> list[Path]:
    """official_split.tsv, else train.txt, val.txt, ... of the first folder with any; those that
    hold others first.
    """
    if (root / SPLIT_LIST).is_file():
        return [root / SPLIT_LIST]
    for folder in LIST_FOLDERS:
        files = [file for file in (root / folder).glob("*.txt") if split_called(file.stem)]
        if files:
            return sorted(files, key=lambda file: (file.stem != TRAINVAL, file.name))
    return []


def _told(file: Path) -> list[tuple[list[str], str, str]]:
    """What each line may call its image, the split, and which line it is."""
    found = []
    for number, line in enumerate(text_lines(file), start=1):
        name, _, part = (word.strip() for word in line.rpartition("\t"))
        if file.name != SPLIT_LIST:
            name, part = line, file.stem
        if line and not name:
            raise MuseError(
                f"Line {number} of {file} is not 'image's name <tab> split': mend or delete "
                "that line."
            )
        if line and split_called(part) is None:
            raise unknown(f"split of {name} in {file}", part, SPLITS)
        if line:
            # Two columns are an image and its mask.
            called = [_path(_in_images(word)) for word in (name, name.split()[0])]
            kept = part if part == TRAINVAL else split_called(part) or ""
            found.append((called, kept, f"{file.name} line {number}, {name}"))
    return found


def _in_images(name: str) -> str:
    """What a path, wherever it begins, says below a folder of images."""
    return re.split(r"(?:^|.*[\\/])(?:jpeg)?images[\\/]", name, flags=re.IGNORECASE)[-1]
