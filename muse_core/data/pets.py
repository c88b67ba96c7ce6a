"""`pets:PATH`: Oxford-IIIT Pet in torchvision's layout (37 breeds, trimaps).

Read from its own list files, since torchvision names only the breeds that occur and asks for every
trimap. https://www.robots.ox.ac.uk/~vgg/data/pets"""

from pathlib import Path

from muse_core.data.class_prompts import with_article
from muse_core.data.image_files import FileSource, MaskMeaning, Sample, existing_folder, text_lines
from muse_core.data.splits import choose, complete
from muse_core.errors import MuseError

LAYOUT = "oxford-iiit-pet/images and oxford-iiit-pet/annotations, as torchvision's OxfordIIITPet downloads them"
LISTS = {"train": "trainval.txt", "test": "test.txt"}
TRIMAPS = MaskMeaning(
    names=("background", "pet"),
    classes={1: 1, 2: 0},  # 3, the border, is left void
    instances={1: 1},
)

BREEDS = (
    "Abyssinian",
    "american bulldog",
    "american pit bull terrier",
    "basset hound",
    "beagle",
    "Bengal",
    "Birman",
    "Bombay",
    "boxer",
    "British Shorthair",
    "chihuahua",
    "Egyptian Mau",
    "english cocker spaniel",
    "english setter",
    "german shorthaired",
    "great pyrenees",
    "havanese",
    "japanese chin",
    "keeshond",
    "leonberger",
    "Maine Coon",
    "miniature pinscher",
    "newfoundland",
    "Persian",
    "pomeranian",
    "pug",
    "Ragdoll",
    "Russian Blue",
    "saint bernard",
    "samoyed",
    "scottish terrier",
    "shiba inu",
    "Siamese",
    "Sphynx",
    "staffordshire bull terrier",
    "wheaten terrier",
    "yorkshire terrier",
)
"""Class id 1..37 of the list files, in order."""


def open_pets(root: Path, split: str, image_size: int, seed: int = 0) -> FileSource:
    """One split: train = the official trainval, val and test = halves of the official test, by hash
    of the name.

    ``root`` is ``oxford-iiit-pet`` or the folder that holds it. ``class_masks``: 0 background, 1
    pet, 255 border or no trimap; ``instance_masks``: 1 pet. ``seed`` changes nothing here. Raises
    MuseError for another layout."""
    home = _home(existing_folder(root, LAYOUT))
    labels = {part: _labels(home / "annotations" / file) for part, file in LISTS.items()}
    chosen = choose(complete({part: sorted(names) for part, names in labels.items()}), split, home)
    label = labels["train" if split == "train" else "test"]
    if not any((home / _image(name)).is_file() for name in chosen):
        raise MuseError(
            f"{home} holds none of the {split} images its lists name: it should have {LAYOUT}."
        )
    trimaps = {file.stem for file in (home / "annotations" / "trimaps").glob("[!.]*.png")}
    samples = tuple(_sample(name, label[name], name in trimaps) for name in chosen)
    return FileSource("pets", home, split, image_size, samples, BREEDS, TRIMAPS)


def _home(root: Path) -> Path:
    for home in (root, root / "oxford-iiit-pet"):
        if all((home / "annotations" / file).is_file() for file in LISTS.values()):
            return home
    raise MuseError(f"{root} is not an Oxford-IIIT Pet folder: it should have {LAYOUT}.")


def _labels(path: Path) -> dict[str, int]:
    """{image name: label 0..36} from lines of "name class-id species breed-id"."""
    labels = {}
    for number, line in enumerate(text_lines(path), start=1):
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if len(words) < 2 or words[1] not in _CLASS_IDS:
            raise MuseError(
                f"Line {number} of {path} is not 'image class-id species breed-id': mend it or download it again."
            )
        labels[words[0]] = int(words[1]) - 1
    return labels


_CLASS_IDS = {str(index + 1) for index in range(len(BREEDS))}


def _image(name: str) -> str:
    return f"images/{name}.jpg"


def _sample(name: str, label: int, has_trimap: bool) -> Sample:
    mask = f"annotations/trimaps/{name}.png" if has_trimap else None
    return Sample(
        id=_image(name),
        caption=f"a photo of {with_article(BREEDS[label])}, a type of pet",
        label=label,
        mask=mask,
    )
