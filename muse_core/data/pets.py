"""`pets:PATH`: Oxford-IIIT Pet in torchvision's layout (37 breeds, trimaps).

Read from its own list files, since torchvision asks for every trimap. An image's name says its
breed; the classes are the breeds that the lists name. https://www.robots.ox.ac.uk/~vgg/data/pets
"""

from pathlib import Path

from muse_core.data.class_prompts import photo_caption
from muse_core.data.image_files import FileSource, existing_folder, text_lines
from muse_core.data.reading import MaskMeaning, Sample
from muse_core.data.splits import keys_of
from muse_core.errors import MuseError

LAYOUT = (
    "oxford-iiit-pet/images and oxford-iiit-pet/annotations, as torchvision's OxfordIIITPet "
    "downloads them"
)
CLASSES = 37
LISTS = {"train": "trainval.txt", "test": "test.txt"}
TRIMAPS = MaskMeaning(names=("background", "pet"), classes={1: 1, 2: 0}, instances={1: 1})
"""3, the border, is left void."""


def open_pets(root: Path, split: str, image_size: int, seed: int = 0) -> FileSource:
    """One split: train = the official trainval, val and test = halves of the official test.

    ``class_masks``: 0 background, 1 pet, 255 border or no trimap; ``instance_masks``: 1 pet.

    Args:
        root: ``oxford-iiit-pet`` or the folder that holds it.
        split: "train", "val" or "test".
        image_size: pixels a side.
        seed: changes nothing here.

    Raises:
        MuseError: for another layout.
    """
    home = _home(existing_folder(root, LAYOUT))
    listed = {part: _class_ids(home / "annotations" / file) for part, file in LISTS.items()}
    class_ids = listed["train"] | listed["test"]
    breeds = {number: _breed(name) for name, number in class_ids.items()}
    label = {number: place for place, number in enumerate(sorted(breeds))}
    class_names = tuple(breeds[number] for number in label)
    trimaps = {file.stem for file in (home / "annotations" / "trimaps").glob("[!.]*.png")}
    samples = tuple(
        Sample(
            id=f"images/{name}.jpg",
            captions=(f"{photo_caption(breeds[class_ids[name]])}, a type of pet",),
            label=label[class_ids[name]],
            mask=f"annotations/trimaps/{name}.png" if name in trimaps else None,
        )
        for name in keys_of(split, {part: list(names) for part, names in listed.items()}, home)
    )
    if not any((home / sample.id).is_file() for sample in samples):
        raise MuseError(
            f"{home} holds none of the {split} images its lists name: it should have {LAYOUT}."
        )
    return FileSource("pets", home, split, image_size, samples, class_names, TRIMAPS)


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
