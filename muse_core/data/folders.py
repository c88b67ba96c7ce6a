"""What lies in a folder: the one walk of every reader, which says what it passes over."""

import os
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from muse_core.data.decode import image_suffixes
from muse_core.data.notes import Notes, kind_of
from muse_core.data.text_files import folded
from muse_core.errors import MuseError


@dataclass
class Listing:
    """The files below a folder, as paths relative to it with forward slashes, sorted.

    Args:
        files: each once.
        twice: links to files that are among ``files`` under another name.
        targets: where the links among both lead.
    """

    files: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    targets: dict[str, str] = field(default_factory=dict)


def existing_folder(path: Path, layout: str) -> Path:
    """The folder itself. Raises MuseError, with the layout it should have, when there is no such
    folder.
    """
    if not path.is_dir():
        raise MuseError(f"There is no folder {path}: give the path of a folder with {layout}.")
    return path


def spelled(root: Path, name: str) -> str:
    """How a sub-folder of this name is written: as asked for, else in the only other case."""
    if (root / name).is_dir() or not root.is_dir():
        return name
    alike = [one.name for one in root.iterdir() if folded(one.name) == name and one.is_dir()]
    return alike[0] if len(alike) == 1 else name


def listing(root: Path, notes: Notes) -> Listing:
    """Every file below the folder. Links are followed, and a folder is entered once: by its own
    path, if that lies here, rather than by a link to it.
    """
    found, links = Listing(), list[tuple[str, str]]()
    home = os.path.realpath(root)
    entered: set[str] = set()
    present: set[str] = set()
    own, linked = deque([("", home)]), deque[tuple[str, str]]()
    while own or linked:
        inside, real = (own or linked).popleft()
        if real in entered or home.startswith(os.path.join(real, "")):
            notes.add("link to a folder that is read already", inside, "delete the link")
            continue
        entered.add(real)
        try:
            entries = sorted(os.scandir(real), key=lambda entry: entry.name)
        except OSError as error:
            notes.add(f"folder that cannot be opened ({error.strerror})", inside, "mend it")
            continue
        for entry in entries:
            name = f"{inside}/{entry.name}" if inside else entry.name
            if entry.is_symlink():
                target = os.path.realpath(entry.path)
                (linked if os.path.isdir(target) else links).append((name, target))
            elif entry.is_dir():
                own.append((name, entry.path))
            else:
                found.files.append(name)
                present.add(entry.path)
    for name, real in links:
        found.targets[name] = real
        if not os.path.exists(real):
            notes.add("link to nothing", name, "put the file there")
        else:
            (found.twice if real in present else found.files).append(name)
            present.add(real)
    found.files.sort()
    return found


def image_files(root: Path, notes: Notes) -> list[str]:
    """Every image below the folder; what else lies there is noted."""
    found, images = listing(root, notes), []
    for name in found.twice:
        notes.add("link to a file that is read already", name, "delete the link")
    for name in found.files:
        if why := no_image(name):
            notes.add(*why)
        else:
            images.append(name)
    return images


def no_image(name: str) -> tuple[str, str, str] | None:
    """What `Notes.add` takes about a file with the suffix of no image; None for one that is."""
    if "/." in f"/{name}":
        return "file with a hidden name", name, "take the dot away to use it"
    if (suffix := kind_of(name)) in image_suffixes():
        return None
    what = f"file with the suffix of no image ({suffix})"
    return what, name, "save it as JPEG, PNG or WebP if it is a picture"


def finder(names: Iterable[str]) -> Callable[[str], str | None]:
    """Finds the file that somebody's list means: as it is written, else the only one that differs
    in case, separators or composed letters.
    """
    exact, near = set(names), defaultdict(list)
    for name in exact:
        near[folded(name)].append(name)

    def find(name: str) -> str | None:
        alike = [name] if name in exact else near[folded(name)]
        return alike[0] if len(alike) == 1 else None

    return find


def without_suffix(name: str) -> str:
    """ "images/a.b.jpg" -> "images/a.b"; what follows another dot stays."""
    bare, suffix = os.path.splitext(name)
    return bare if suffix.lower() in image_suffixes() else name
