"""`pets:PATH`: Oxford-IIIT Pet in torchvision's layout (37 breeds, trimaps).

Read from its own list files, since torchvision asks for every trimap. An image's name says its
breed; the classes are the breeds that the lists name. https://www.robots.ox.ac.uk/~vgg/data/pets
"""

from pathlib import Path

from muse_core.data.class_prompts import photo_caption
from muse_core.data.folders import existing_folder, image_files, without_suffix
from muse_core.data.image_files import FileSource
from muse_core.data.notes import Notes
from muse_core.data.reading import MaskMeaning, Sample
from muse_core.data.splits import NO_OPTIONS, Options, keys_of
from muse_core.data.text_files import text_lines
from muse_core.errors import MuseError

LAYOUT = (
    "oxford-iiit-pet/images and oxford-iiit-pet/annotations, as torchvision's OxfordIIITPet "
    "downloads them"
)
CLASSES = 37
LISTS = {"train": "trainval.txt", "test": "test.txt"}
TRIMAPS = MaskMeaning(names=("background", "pet"), classes={1: 1, 2: 0}, instances={1: 1})
"""3, the border, is left void."""


def open_pets(root: Path, split: str, image_size: int, options: Options = NO_OPTIONS) -> FileSource:
    """One split: train = the official trainval, val and test = halves of the official test.

    ``class_masks``: 0 background, 1 pet, 255 border or no trimap; ``instance_masks``: 1 pet.

    Args:
        root: ``oxford-iiit-pet`` or the folder that holds it.
        split: "train", "val" or "test".
        image_size: pixels a side.
        options: change nothing here.

    Raises:
        MuseError: for another layout.
    """
    home, notes = _home(existing_folder(root, LAYOUT)), Notes()
    listed = {part: _class_ids(home / "annotations" / file) for part, file in LISTS.items()}
    class_ids = listed["train"] | listed["test"]
    breeds = {number: _breed(name) for name, number in class_ids.items()}
    label = {number: place for place, number in enumerate(sorted(breeds))}
    class_names = tuple(breeds[number] for number in label)
    images, trimaps = (_named(home, place, notes) for place in ("images", "annotations/trimaps"))
    for what, here in (("image outside the lists", images), ("trimap without an image", trimaps)):
        for name in here.keys() - class_ids:
            notes.add(what, here[name], "delete it, or add a line to trainval.txt")
    for name in class_ids.keys() - images:
        notes.add("line without an image", name, "download the images again")
    parts = {part: [name for name in names if name in images] for part, names in listed.items()}
    if not any(parts.values()) and class_ids:
        raise MuseError(
            f"{home} holds none of the {split} images its lists name: it should have {LAYOUT}."
        )
    samples = tuple(
        Sample(
            id=images[name],
            captions=(f"{photo_caption(breeds[class_ids[name]])}, a type of pet",),
            label=label[class_ids[name]],
            mask=trimaps.get(name),
        )
        for name in keys_of(split, parts, home, options)
    )
    return FileSource("pets", home, split, image_size, samples, class_names, TRIMAPS, notes.lines())


def _named(home: Path, place: str, notes: Notes) -> dict[str, str]:
    """The images of a folder by their names without suffix."""
    there = image_files(home / place, notes) if (home / place).is_dir() else []
    return {without_suffix(name): f"{place}/{name}" for name in there}


def _home(root: Path) -> Path:
    for home in (root, root / "oxford-iiit-pet"):
        if all((home / "annotations" / file).is_file() for file in LISTS.values()):
            return home
    raise MuseError(f"{root} is not an Oxford-IIIT Pet folder: it should have {LAYOUT}.")


def _class_ids(path: Path) -> dict[str, int]:
    """{image name: class id 1..37} from lines of "name class-id species breed-id"."""
    found = {}
    for number, line in enumerate(text_lines(path), start=1):
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if len(words) < 2 or not words[1].isdecimal() or not 1 <= int(words[1]) <= CLASSES:
            raise MuseError(
                f"Line {number} of {path} is not 'image class-id species breed-id': mend it or "
                "download it again."
            )
        found[words[0]] = int(words[1])
    return found


def _breed(name: str) -> str:
    """ "great_pyrenees_17" -> "great pyrenees"."""
    return name.rpartition("_")[0].replace("_", " ")
