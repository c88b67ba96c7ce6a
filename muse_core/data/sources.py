"""`open_source`: the one place where a data set's name in a config, such as "folder:~/photos", becomes a `Source`."""

from collections.abc import Callable
from pathlib import Path

from muse_core.data.batches import Source
from muse_core.data.captions import open_captions
from muse_core.data.folders import open_folder
from muse_core.data.masks import open_masks
from muse_core.data.pets import open_pets
from muse_core.data.scenes import Scenes
from muse_core.errors import MuseError, unknown
from muse_core.paths import user_path

Opener = Callable[[Path | None, str, int, int], Source]
"""(path or None, split, image size in pixels, seed) -> the split."""


def _scenes(path: Path | None, split: str, image_size: int, seed: int) -> Source:
    if path is not None:
        raise MuseError(f"The data source 'scenes' is drawn, not read, and takes no path: write 'scenes', not {path}.")
    return Scenes(split, image_size, seed)


def _from_files(prefix: str, opener: Callable[[Path, str, int, int], Source]) -> Opener:
    def open_there(path: Path | None, split: str, image_size: int, seed: int) -> Source:
        if path is None:
            raise MuseError(f"The data source {prefix!r} needs a path: write '{prefix}:PATH'.")
        return opener(path, split, image_size, seed)

    return open_there


OPENERS: dict[str, Opener] = {
    "scenes": _scenes,
    "folder": _from_files("folder", open_folder),
    "captions": _from_files("captions", open_captions),
    "masks": _from_files("masks", open_masks),
    "pets": _from_files("pets", open_pets),
}


def open_source(spec: str, split: str, image_size: int, seed: int = 0) -> Source:
    """One split ("train", "val" or "test") of "scenes", "folder:PATH", "captions:PATH", "masks:PATH" or "pets:PATH".

    Images come as squares of ``image_size`` pixels. ``seed`` draws other scenes and picks other captions; it never
    moves an image to another split. Raises MuseError for an unknown source, split or size, and for a path without
    such data.
    """
    prefix, _, place = (part.strip() for part in spec.partition(":"))
    if prefix not in OPENERS:
        raise unknown("data source", spec, ["scenes", *(f"{name}:PATH" for name in OPENERS if name != "scenes")])
    if image_size < 1:
        raise MuseError(f"image_size is {image_size} pixels: give the network's input size, for example 64.")
    return OPENERS[prefix](user_path(place) if place else None, split, image_size, seed)
