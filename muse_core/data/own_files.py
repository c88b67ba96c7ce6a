"""The file that somebody means by a word: a path, or the name of a photograph that scikit-image
carries. Imports nothing that takes time, so that a misspelt word is told at once.
"""

from importlib.resources import files
from pathlib import Path

from muse_core.errors import MuseError
from muse_core.paths import user_path

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
