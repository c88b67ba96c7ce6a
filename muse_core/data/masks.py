"""`masks:PATH`: images with segmentation masks and without words.

PATH/images/NAME.jpg (or another image format), and PATH/masks_voc21/NAME.png or else
PATH/masks/NAME.png: one class number a pixel, 255 = void. PATH/classes_voc21.txt or
PATH/classes.txt names the classes, one a line, class 0 first. PATH/official_split.tsv, if there is
one, has lines "NAME <tab> train, val or test"; PATH/train.txt, val.txt and test.txt list names, and
sub-folders may be called like splits.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

from muse_core.data.class_prompts import photo_caption
from muse_core.data.folders import existing_folder, image_files, without_suffix
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
    notes, home = Notes(), existing_folder(root, LAYOUT) / "images"
    images = image_files(home, notes) if home.is_dir() else []
    masks, meaning = find_masks(root, images, notes)
    for name in images:
        if name not in masks:
            notes.add("image without a mask", f"images/{name}", "give it one of the same name")
    if meaning is None or not masks:
        raise MuseError(f"{root} holds no images with masks: it should have {LAYOUT}.")
    if not meaning.names:
        file = root / MASK_FOLDERS[str(mask_folder(root))]
        raise MuseError(
            f"The classes of the masks in {root} have no names: write {file}, one name a line, "
            "class 0 first."
        )
    parts = _parts(sorted(masks), root, notes)
    samples = tuple(
        Sample(f"images/{name}", (photo_caption(),), mask=masks[name])
        for name in keys_of(split, parts, root, options)
    )
    return FileSource(
        root.name, root, split, image_size, samples, masks=meaning, notes=notes.lines()
    )


def find_masks(
    root: Path, images: Iterable[str], notes: Notes
) -> tuple[dict[str, str], MaskMeaning | None]:
    """The mask of each image that has one, and what their numbers mean (None without a folder of
    masks).

    A mask has its image's path, with another suffix; one that is the only one of its name, and of
    whose name there is one image, may lie in another sub-folder. Masks without an image are noted.

    Raises:
        MuseError: where two images could have the same mask, or two masks the same image.
    """
    folder = mask_folder(root)
    if folder is None:
        return {}, None
    file = root / MASK_FOLDERS[folder]
    meaning = MaskMeaning(names=class_lines(file) if file.is_file() else ())
    pairs: dict[str, str] = {}
    masks = image_files(root / folder, notes)
    for key in (_path, _stem):
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
    return next((folder for folder in MASK_FOLDERS if (root / folder).is_dir()), None)


def _path(name: str) -> str:
    return folded(without_suffix(name))


def _stem(name: str) -> str:
    return PurePosixPath(_path(name)).name


def _grouped(names: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    groups = defaultdict(list)
    for name in names:
        groups[key(name)].append(name)
    return groups


def _parts(names: list[str], root: Path, notes: Notes) -> dict[str, list[str]]:
    """File names by split: as lists say, else as sub-folders are called."""
    told, parts = _told(root), defaultdict[str, list[str]](list)
    if told is None:
        return by_folder(names)
    meant: set[str] = set()
    for name in names:
        called = {_path(name), _stem(name), f"images/{_path(name)}"}
        meant |= called
        if listed := called & told.keys():
            parts[told[min(listed)]].append(name)
        else:
            notes.add("image outside the split list", f"images/{name}", "add a line for it")
    for name in sorted(told.keys() - meant):
        notes.add("line of the split list without an image", name, "delete it or add the image")
    return parts or {"train": []}


def _told(root: Path) -> dict[str, str] | None:
    """{image's path or name, without suffix: split} from official_split.tsv, else from train.txt,
    val.txt, ...; None where there is neither.
    """
    lists = [root / SPLIT_LIST] if (root / SPLIT_LIST).is_file() else sorted(root.glob("*.txt"))
    lists = [file for file in lists if file.name == SPLIT_LIST or split_called(file.stem)]
    split = {}
    for file in lists:
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
                split[_path(name)] = split_called(part) or ""
    return split if lists else None
