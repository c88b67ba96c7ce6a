"""Images of one's own, a few at a time: files by path, uploaded bytes, images and arrays that are
open already, or the photographs that scikit-image carries.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from muse_core.data.decode import FITS, Photo, Unreadable, read_photo
from muse_core.data.image_arrays import picture_of
from muse_core.data.own_files import BUILT_IN, own_file
from muse_core.data.text_files import readable
from muse_core.errors import MuseError, unknown
from muse_core.paths import user_path
from muse_core.shapes import Images

SMALLEST = 8
"""Pixels a side below which there is nothing to look at."""


Pictures = Any
"""A path, a name of `BUILT_IN`, a Pillow image, or an array or tensor (`picture_of`); or several of
them: a list, or an array with one axis more.
"""


@dataclass(frozen=True)
class OwnImages:
    """``images`` (n, 3, size, size) in [0, 1]; ``notes`` say what was done with each file to make
    it fit.
    """

    images: Images
    names: tuple[str, ...]
    notes: tuple[str, ...]


def own_images(words: str, size: int, fit: str = "crop") -> OwnImages:
    """One path or built-in name, or several with commas between, at ``size`` pixels a side; ``fit``
    "crop" or "pad".

    Raises MuseError for a name that is neither, and for files that are no image.
    """
    given = (
        [words]
        if user_path(words).is_file()
        else [word.strip() for word in words.split(",") if word.strip()]
    )
    return joined([_from_file(word, size, fit) for word in given])


def pictures(given: Pictures, size: int, fit: str = "crop") -> OwnImages:
    """One picture, or several in their order, of any kind, at ``size`` pixels a side.

    Raises MuseError for what is no picture, with its name or its place.
    """
    several = isinstance(given, list | tuple) or getattr(given, "ndim", 0) == 4
    return joined(
        [
            _picture(each, f"image {number}", size, fit)
            for number, each in enumerate(given if several else [given], 1)
        ]
    )


def image_from_bytes(name: str, content: bytes, size: int, fit: str = "crop") -> OwnImages:
    """An uploaded file. Raises MuseError where the bytes are no image."""
    return image_from(name, io.BytesIO(content), size, fit)


def joined(several: Sequence[OwnImages]) -> OwnImages:
    """One after the other. Raises MuseError where there is none."""
    if not several:
        raise MuseError(
            "There is no image to look at: give a path, or one of " + ", ".join(BUILT_IN) + "."
        )
    return OwnImages(
        torch.cat([each.images for each in several]),
        tuple(name for each in several for name in each.names),
        tuple(note for each in several for note in each.notes),
    )


def _from_file(word: str, size: int, fit: str) -> OwnImages:
    path = own_file(word)
    return image_from(word if word in BUILT_IN else readable(path.name), path, size, fit)


def _picture(given: Any, name: str, size: int, fit: str) -> OwnImages:
    if isinstance(given, str | Path):
        return _from_file(str(given), size, fit)
    if isinstance(given, np.ndarray | Tensor):
        given = picture_of(name, given)
    if isinstance(given, Image.Image):
        return image_from(name, given, size, fit)
    raise MuseError(
        f"{name} is a {type(given).__name__} and no picture: give a path, a Pillow image, an array "
        "or a tensor."
    )


def image_from(
    name: str, file: Path | io.BytesIO | Image.Image, size: int, fit: str = "crop"
) -> OwnImages:
    """A file, or an image that is open already, under a name of its own. Raises MuseError where it
    is no image.
    """
    if fit not in FITS:
        raise unknown("fit", fit, FITS)
    try:
        photo = read_photo(file, size, fit)
    except Unreadable as error:
        raise MuseError(
            f"{name} cannot be used as an image ({error}): give a JPEG, PNG or WebP file."
        ) from error
    if min(photo.stored) < SMALLEST:
        raise MuseError(
            f"{name} has {_by(photo.stored)} pixels, too few to look at: give at least {SMALLEST} "
            f"× {SMALLEST}."
        )
    return OwnImages(photo.pixels[None], (name,), (f"{name}: {_what_was_done(photo, fit)}",))


def _what_was_done(photo: Photo, fit: str) -> str:
    width, height = photo.stored
    side = photo.pixels.shape[-1]
    square = {"crop": "cut to its centred square", "pad": "padded to a square with grey"}[fit]
    resized = "enlarged" if photo.enlarged else "reduced"
    steps = [f"{width:,} × {height:,} pixels"]
    steps += [square] if width != height else []
    steps += [photo.said] if photo.said else []
    steps += [f"{resized} to {side} × {side}"] if (width, height) != (side, side) else []
    return ", ".join(steps)


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} × {size[1]}"
