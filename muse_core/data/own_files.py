"""The file that somebody means by a word: a path, or the name of a photograph that scikit-image
carries; and the data of a specification. Imports nothing that takes time, so that a misspelt word
is told at once.
"""

from importlib.resources import files
from pathlib import Path

from muse_core.errors import MuseError, unknown
from muse_core.paths import PLACED, absolute_spec, user_path

BUILT_IN = {
    "astronaut": "astronaut.png",
    "camera": "camera.png",
    "cat": "chelsea.png",
    "coffee": "coffee.png",
    "coins": "coins.png",
    "rocket": "rocket.jpg",
}
"""Names of photographs, and their files in `skimage.data`; no download."""


def own_file(word: str) -> Path:
    """Raises MuseError where there is no such file."""
    if word in BUILT_IN:
        return Path(str(files("skimage.data") / BUILT_IN[word]))
    path = user_path(word)
    if path.is_dir():
        raise MuseError(f"{word!r} is a folder: name the pictures in it, as {word}/*.jpg.")
    if not path.is_file():
        raise MuseError(
            f"There is no image file {word!r}: give a path, or one of {', '.join(BUILT_IN)}."
        )
    return path


PLACELESS = ("scenes", "mix")
"""Kinds of data sources that stand for no path."""


def own_data(spec: str) -> str:
    """A data source with the path it means here.

    Raises:
        MuseError: Its kind is unknown, or nothing is at its path.
    """
    kind, _, place = (part.strip() for part in spec.partition(":"))
    if kind not in (*PLACELESS, *PLACED):
        raise unknown("data source", spec, (*PLACELESS, *(f"{each}:PATH" for each in PLACED)))
    on_disk = kind in PLACED and kind != "wds" and not kind.startswith("hf")
    place = place.partition("?")[0]
    if on_disk and place and not user_path(place).exists():
        raise MuseError(f"There is nothing at {place!r}: give {kind}: a path that is there.")
    return absolute_spec(spec)
