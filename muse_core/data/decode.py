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
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from torch import Tensor

from muse_core.shapes import Float, Int

SIXTEEN_BIT_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I")
INDEX_MODES = ("1", "L", "P", *SIXTEEN_BIT_MODES)
"""Pillow modes whose pixels can be read as class numbers."""

WHITE = 255
RANGES = (255, 65_535, 4_294_967_295)
"""What numbers of 16 and 32 bits may end on where nothing is declared."""
DIM = 4_096
"""Below this, 16-bit numbers are probably of a camera with 12 bits."""
DECLARED = ((280, 281), (340, 341))
"""TIFF's tags for the smallest and largest number: MinSampleValue, SMinSampleValue, ..."""

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

    Args:
        reason: what is wrong with it.
        mend: what to do where all are like it.
    """

    def __init__(self, reason: str, mend: str = "replace them with intact images") -> None:
        super().__init__(reason, mend)

    def __str__(self) -> str:
        return self.args[0]


@dataclass(frozen=True)
class Photo:
    """A square photograph in [0, 1]; ``enlarged``: the file was smaller than this; ``crop``: the
    part that was kept; ``stored``: (width, height) of the file; ``said``: how its numbers
    were read, where the file does not say what they mean."""

    pixels: Float[Tensor, "3 size size"]
    enlarged: bool
    crop: Crop
    stored: tuple[int, int]
    said: str = ""


def read_photo(file: Path | io.BufferedIOBase | Image.Image, size: int, fit: str = "crop") -> Photo:
    """A file, or a copy of an open image, as (3, size, size) float32 in [0, 1]; ``fit`` is one of
    `FITS`.

    Raises Unreadable, with the reason, for anything else.
    """
    with _opened(file) as image:
        stored, enlarged = image.size, min(image.size) < size
        image.draft(
            None, (2 * size, 2 * size)
        )  # JPEG decodes at 1/2, 1/4, 1/8 for little; a no-op for other formats
        rgb, said = _to_rgb(_upright(image))
        if fit == "pad":
            rgb = _padded(rgb, size)
        crop = centred_square(*rgb.size)
        square = rgb.resize((size, size), Image.Resampling.BICUBIC, box=_in_pixels(crop, rgb.size))
        values = torch.from_numpy(np.array(square)).permute(2, 0, 1).contiguous()
    return Photo(values.float().div_(255), enlarged, crop, stored, said)


def _padded(image: Image.Image, side: int) -> Image.Image:
    """All of it, as large as fits, in the middle of a square."""
    width, height = (max(1, round(each * side / max(image.size))) for each in image.size)
    square = Image.new("RGB", (side, side), PADDING)
    inside = image.resize((width, height), Image.Resampling.BICUBIC)
    square.paste(inside, ((side - width) // 2, (side - height) // 2))
    return square


def rgb_image(file: Path | io.BufferedIOBase) -> Image.Image:
    """The file in its own size, upright, as 8-bit RGB. Raises Unreadable."""
    with _opened(file) as image:
        return _to_rgb(_upright(image))[0]


def read_mask(
    path: Path | io.BufferedIOBase, size: int, crop: Crop, two_classes: bool = False
) -> tuple[Int[Tensor, "size size"], bool]:
    """The file's class numbers (palette indices or grey levels), cut like its photograph and
    resized by nearest pixel.

    ``crop`` is the photograph's `Photo.crop`; masks are drawn on the upright photograph. Of two
    classes, a mask of 0 and 255 alone is one of 0 and 1: and whether it was. Raises Unreadable."""
    with _opened(path) as image:
        mask, binary = _mask(image, two_classes)
        square = mask.resize(
            (size, size), Image.Resampling.NEAREST, box=_in_pixels(crop, mask.size)
        )
        return torch.from_numpy(np.array(square).astype(np.int64)), binary


def mask_numbers(path: Path | io.BufferedIOBase, two_classes: bool = False) -> np.ndarray:
    """The file's class numbers in its own size, (height, width) int64, upright; ``two_classes`` as
    in `read_mask`. Raises Unreadable.
    """
    with _opened(path) as image:
        return np.array(_mask(image, two_classes)[0]).astype(np.int64)


def _mask(image: Image.Image, two_classes: bool) -> tuple[Image.Image, bool]:
    mask = _upright(image if image.mode in INDEX_MODES else _grey(image))
    counted = mask.getcolors(2) if two_classes and mask.mode in ("L", "P") else None
    binary = {number for _, number in counted or ()} == {0, WHITE}
    return (Image.fromarray(np.array(mask) // WHITE) if binary else mask), binary


def _grey(image: Image.Image) -> Image.Image:
    """The one band of an opaque image whose colours are all grey. Raises Unreadable for another."""
    if image.mode in ("RGB", "RGBA", "LA"):
        # Turning it loses the tag that says so, and keeps the pixels.
        bands = _upright(image).split()
        opaque = "A" not in image.mode or bands[-1].getextrema() == (WHITE, WHITE)
        colours = {band.tobytes() for band in bands[: len(image.mode.removesuffix("A"))]}
        if opaque and len(colours) == 1:
            return bands[0]
    raise Unreadable(
        f"a mask needs one number a pixel, this file has {image.mode} colours",
        "save each mask with the number of its class in every pixel",
    )


def centred_square(width: int, height: int) -> Crop:
    """The largest centred square of an image, in fractions of its sides."""
    side = min(width, height)
    right, down = 0.5 * side / width, 0.5 * side / height
    return 0.5 - right, 0.5 - down, 0.5 + right, 0.5 + down


@contextmanager
def _opened(path: Path | io.BufferedIOBase | Image.Image) -> Iterator[Image.Image]:
    """The open file, with every way a decoder can fail turned into Unreadable; of an image that is
    open already, a copy.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            source: Any = path
            is_open = isinstance(path, Image.Image)
            # A pipe would be waited for.
            if isinstance(path, Path) and path.exists() and not path.is_file():
                raise Unreadable("not a file with bytes in it")
            with path.copy() if is_open else Image.open(source, formats=_formats()) as image:
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


@cache
def image_suffixes() -> frozenset[str]:
    """What the names of such files end on, in lower case: ".jpg", ".jfif", ".tif", ..."""
    known = Image.registered_extensions().items()
    return frozenset(suffix for suffix, name in known if name in _formats())


def _upright(image: Image.Image) -> Image.Image:
    """Turned as its EXIF orientation says; a damaged EXIF block does not cost the photograph."""
    image.load()
    with suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)
    return image


def _to_rgb(image: Image.Image) -> tuple[Image.Image, str]:
    """The image, and how its numbers were read, where the file does not say what they mean. Raises
    Unreadable.
    """
    if image.mode in (*SIXTEEN_BIT_MODES, "F"):
        return _from_numbers(image)
    if image.mode == "LAB":
        lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        image = ImageCms.buildTransform(lab, rgb, "LAB", "RGB").apply(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image if image.mode == "RGB" else image.convert("RGB"), ""


def _from_numbers(image: Image.Image) -> tuple[Image.Image, str]:
    """Grey levels of 16 or 32 bits or in floats, from the range that the file declares; else from 0
    to the first of `RANGES` that holds them all.
    """
    values = np.asarray(image).astype(np.float32)
    lowest, highest, said = float(values.min()), float(values.max()), ""
    tags: Any = getattr(image, "tag_v2", {})
    declared = [
        [float(np.max(tags.get(tag, 0))) for tag in pair] for pair in DECLARED if pair[1] in tags
    ]
    if declared and declared[0][0] < declared[0][1]:
        low, high = declared[0]
    else:
        kind = "floats" if image.mode == "F" else "numbers of 16 or 32 bits"
        if not 0 <= lowest <= highest <= RANGES[-1]:
            raise Unreadable(f"its pixels are {kind} of unknown range: save it with 8 bits")
        small = 1.0 if image.mode == "F" else RANGES[0]
        low, high = 0.0, next(top for top in (small, *RANGES) if highest <= top)
        if highest == 0 or (high == RANGES[1] and highest >= DIM and image.mode != "F"):
            high = RANGES[1]
        else:
            dim = " and so very dark" if high == RANGES[1] else ""
            said = f"{kind} without a declared range were read as 0 to {high:,.0f}{dim}"
    levels = ((values - low) / (high - low)).clip(0, 1) * 255
    return Image.fromarray(levels.round().astype(np.uint8)).convert("RGB"), said


def _in_pixels(crop: Crop, size: tuple[int, int]) -> Crop:
    """The crop in pixels; clamped, since rounding may otherwise step outside by a billionth."""
    (left, top, right, bottom), (width, height) = crop, size
    return (
        max(left * width, 0.0),
        max(top * height, 0.0),
        min(right * width, width),
        min(bottom * height, height),
    )
