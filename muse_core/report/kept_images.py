"""Small pictures that a run leaves for the page of its study, which the repository keeps."""

from pathlib import Path

import numpy as np
from PIL import Image

from muse_core import paths
from muse_core.errors import MuseError


def kept_folder(run: str) -> Path:
    """Where a run leaves them, PNG."""
    return paths.report_folder(run) / "kept"


def forget_kept(run: str) -> None:
    """Delete what an earlier execution left."""
    for file in kept_folder(run).glob("*.png"):
        file.unlink()


def keep_strip(run: str, name: str, images: np.ndarray) -> Path:
    """Write images beside each other, pixel for pixel.

    Args:
        run: Whose.
        name: Of the file, without ending.
        images: (images, 3, height, width) in [0, 1].

    Raises:
        MuseError: The disk refuses.
    """
    strip = np.concatenate(list(images), axis=2).transpose(1, 2, 0)
    file = paths.writable(kept_folder(run)) / f"{name}.png"
    try:
        Image.fromarray((strip.clip(0, 1) * 255).round().astype(np.uint8)).save(file, optimize=True)
    except OSError as error:
        raise MuseError(f"Cannot write {file} ({error}): free some space and run again.") from error
    return file


def read_strip(file: Path) -> np.ndarray:
    """The images of a strip, (images, 3, side, side) in [0, 1]; they are square.

    Raises:
        MuseError: The file is damaged.
    """
    try:
        with Image.open(file) as opened:
            strip = np.asarray(opened.convert("RGB"), dtype=np.float32) / 255
    except (OSError, ValueError) as error:
        raise MuseError(f"The picture {file} is damaged: take it from the repository.") from error
    side = strip.shape[0]
    parts = np.split(strip, range(side, strip.shape[1], side), axis=1)
    return np.stack(parts).transpose(0, 3, 1, 2)
