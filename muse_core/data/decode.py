"""One image file -> one square RGB tensor, whatever the file is: rotated, grey, 16-bit, CMYK,
transparent, or broken.

Geometry, the same for a photograph and its mask: the largest centred square, resized to the
network's input (identical to resizing the shorter side and centre-cropping); or, asked for, the
whole image padded to a square with grey. Transparent pixels are laid on white."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from muse_core.shapes import Float, Int

SIXTEEN_BIT_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I")
INDEX_MODES = ("1", "L", "P", *SIXTEEN_BIT_MODES)
"""Pillow modes whose pixels can be read as class numbers."""

MOST_PIXELS = 89_478_485
"""Pillow's own limit, kept even where somebody has lifted that: a larger image is refused from its
header, undecoded.
"""

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""Pillow's decoders that may see a file. Others start programs (EPS) or serve no photograph."""

Crop = tuple[float, float, float, float]
"""Left, top, right, bottom as fractions of the upright image."""

FITS = ("crop", "pad")
PADDING = (124, 116, 104)
"""ImageNet's mean colour: zero for a network that normalises with it."""


class Unreadable(Exception):
    """This file is not an image that can be used; the text is the reason. Sources catch it and go
    on.
    """


@dataclass(frozen=True)
class Photo:
    """A square photograph in [0, 1]; ``enlarged``: the file was smaller than this; ``crop``: the
    part that was kept; ``stored``: (width, height) of the file."""

    pixels: Float[Tensor, "3 size size"]
    enlarged: bool
    crop: Crop
    stored: tuple[int, int]


def read_photo(file: Path | io.BufferedIOBase, size: int, fit: str = "crop") -> Photo:
    """The file as (3, size, size) float32 in [0, 1]; ``fit`` is one of `FITS`.

    Raises Unreadable, with the reason, for anything else.
    """
    with _opened(file) as image:
        stored, enlarged = image.size, min(image.size) < size
        image.draft(
            None, (2 * size, 2 * size)
        )  # JPEG decodes at 1/2, 1/4, 1/8 for little; a no-op for other formats
        rgb = _to_rgb(_upright(image))
        if fit == "pad":
            rgb = ImageOps.pad(rgb, (max(rgb.size), max(rgb.size)), color=PADDING)
        crop = centred_square(*rgb.size)
        square = rgb.resize((size, size), Image.Resampling.BICUBIC, box=_in_pixels(crop, rgb.size))
        values = torch.from_numpy(np.array(square)).permute(2, 0, 1).contiguous()
    return Photo(pixels=values.float().div_(255), enlarged=enlarged, crop=crop, stored=stored)


def read_mask(path: Path | io.BufferedIOBase, size: int, crop: Crop) -> Int[Tensor, "size size"]:
    """The file's class numbers (palette indices or grey levels), cut like its photograph and
    resized by nearest pixel.

    ``crop`` is the photograph's `Photo.crop`; masks are drawn on the upright photograph. Raises
    Unreadable."""
    with _opened(path) as image:
        _check_is_mask(image)
        mask = _upright(image)
        square = mask.resize(
            (size, size), Image.Resampling.NEAREST, box=_in_pixels(crop, mask.size)
        )
        return torch.from_numpy(np.array(square).astype(np.int64))


def mask_numbers(path: Path | io.BufferedIOBase) -> np.ndarray:
    """The file's class numbers in its own size, (height, width) int64, upright. Raises
    Unreadable.
    """
    with _opened(path) as image:
        _check_is_mask(image)
        return np.array(_upright(image)).astype(np.int64)


def _check_is_mask(image: Image.Image) -> None:
    if image.mode not in INDEX_MODES:
        raise Unreadable(f"a mask needs one number a pixel, this file has {image.mode} colours")


def centred_square(width: int, height: int) -> Crop:
    """The largest centred square of an image, in fractions of its sides."""
    side = min(width, height)
    right, down = 0.5 * side / width, 0.5 * side / height
    return 0.5 - right, 0.5 - down, 0.5 + right, 0.5 + down


@contextmanager
def _opened(path: Path | io.BufferedIOBase) -> Iterator[Image.Image]:
    """The open file, with every way a decoder can fail turned into Unreadable."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            source: Any = path
            with Image.open(source, formats=_formats()) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise Unreadable(f"more than {MOST_PIXELS:,} pixels: make it smaller")
                yield image
    except Unreadable:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise Unreadable(f"more than {Image.MAX_IMAGE_PIXELS:,} pixels: make it smaller") from error
    except UnidentifiedImageError as error:  # its text holds a path, or an address in memory
        raise Unreadable("not an image in a format that is read") from error
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from error
    # Damaged files make decoders raise nearly anything: struct.error, SyntaxError, EOFError.
    except Exception as error:
        raise Unreadable(str(error) or type(error).__name__) from error


@cache
def _formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this Pillow knows."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _upright(image: Image.Image) -> Image.Image:
    """Turned as its EXIF orientation says; a damaged EXIF block does not cost the photograph."""
    image.load()
    with suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)
    return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise Unreadable("its pixels are floats of unknown range: save it with 8 or 16 bits")
    if image.mode in SIXTEEN_BIT_MODES:
        levels = np.asarray(image).astype(np.float32).clip(0, 65535) / 257
        return Image.fromarray(levels.round().astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _in_pixels(crop: Crop, size: tuple[int, int]) -> Crop:
    """The crop in pixels; clamped, since rounding may otherwise step outside by a billionth."""
    (left, top, right, bottom), (width, height) = crop, size
    return (
        max(left * width, 0.0),
        max(top * height, 0.0),
        min(right * width, width),
        min(bottom * height, height),
    )
