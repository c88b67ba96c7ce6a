"""`masks:PATH`: images with segmentation masks and without words.

PATH/images/NAME.jpg (or another image format), and PATH/masks_voc21/NAME.png or else
PATH/masks/NAME.png: one class number a pixel, 255 = void. PATH/classes_voc21.txt or
PATH/classes.txt names the classes, one a line, class 0 first. PATH/official_split.tsv, if there is
one, has lines "NAME <tab> train, val or test".
"""

from collections import defaultdict
from pathlib import Path

from muse_core.data.class_prompts import photo_caption
from muse_core.data.image_files import FileSource, existing_folder, image_keys, text_lines
from muse_core.data.reading import MaskMeaning, Sample
from muse_core.data.splits import SPELLINGS, keys_of
from muse_core.errors import MuseError, unknown

LAYOUT = (
    "PATH/images/NAME.jpg, PATH/masks/NAME.png (one class number a pixel, 255 = void) and "
    "PATH/classes.txt"
)
MASK_FOLDERS = {"masks_voc21": "classes_voc21.txt", "masks": "classes.txt"}
"""Where masks may be, and the file beside them that names their classes, one a line."""


def open_masks(root: Path, split: str, image_size: int, seed: int = 0) -> FileSource:
    """The images of one split that have a mask, all captioned "a photo", without label.

    A mask of another size than its image is laid over the whole of it.

    Args:
        root: the folder.
        split: "train", "val" or "test": as official_split.tsv says (images it does not list are
            left out), without it by a hash of each file's name.
        image_size: pixels a side.
        seed: changes nothing here.

    Raises:
        MuseError: for another layout, a missing list of classes, a line of the split list that
            cannot be understood, and a split without images.
    """
    masks, meaning = find_masks(existing_folder(root, LAYOUT))
    names = [name for name in image_keys(root / "images") if Path(name).stem in masks]
    if meaning is None or not names:
        raise MuseError(f"{root} holds no images with masks: it should have {LAYOUT}.")
    if not meaning.names:
        file = root / MASK_FOLDERS[str(mask_folder(root))]
        raise MuseError(
            f"The classes of the masks in {root} have no names: write {file}, one name a line, "
            "class 0 first."
        )
    chosen = keys_of(split, _parts(names, root / "official_split.tsv"), root)
    samples = tuple(
        Sample(f"images/{name}", (photo_caption(),), mask=masks[Path(name).stem]) for name in chosen
    )
    return FileSource(root.name, root, split, image_size, samples, masks=meaning)


def find_masks(root: Path) -> tuple[dict[str, str], MaskMeaning | None]:
    """Mask files by the stem of their image, and what their numbers mean (None without a folder of
    masks).
    """
    folder = mask_folder(root)
    if folder is None:
        return {}, None
    file = root / MASK_FOLDERS[folder]
    names = text_lines(file) if file.is_file() else []
    files = {mask.stem: f"{folder}/{mask.name}" for mask in (root / folder).glob("[!.]*.png")}
    return files, MaskMeaning(names=tuple(filter(None, map(str.strip, names))))


def mask_folder(root: Path) -> str | None:
    """The first of `MASK_FOLDERS` that is there."""
    return next((folder for folder in MASK_FOLDERS if (root / folder).is_dir()), None)


def _parts(names: list[str], listed: Path) -> dict[str, list[str]]:
    """File names by split, as the list says; all in one part where there is none."""
    if not listed.is_file():
        return {"": names}
    parts, split = defaultdict(list), _official_split(listed)
    for name in names:
        if (stem := Path(name).stem) in split:
            parts[split[stem]].append(name)
    return parts or {"": []}


def _official_split(path: Path) -> dict[str, str]:
    """{image's stem: split} from lines of "stem <tab> split"."""
    split = {}
    for number, line in enumerate(text_lines(path), start=1):
        if not line.strip():
            continue
        stem, _, part = (word.strip() for word in line.rpartition("\t"))
        if not stem:
            raise MuseError(
                f"Line {number} of {path} is not 'image's name <tab> split': mend or delete that "
                "line."
            )
        if part not in SPELLINGS:
            raise unknown(f"split of {stem} in {path}", part, SPELLINGS)
        split[stem] = SPELLINGS[part]
    return split
