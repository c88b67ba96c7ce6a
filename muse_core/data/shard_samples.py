"""A sample as a shard keeps it: the image file as it is where there is one, else a PNG of what the
source draws.
"""

import io
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from muse_core.data.batch import IGNORED_PIXEL, NO_LABEL, Source
from muse_core.data.decode import Unreadable, mask_numbers
from muse_core.data.reading import Encoded, ReadSource, translated

WIDEST = 255
"""The largest number an 8-bit mask holds; masks with larger ones become 16-bit."""
SUFFIXES = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
"""Pillow's formats that a shard keeps as they are; an image in another becomes a PNG."""


def members(source: Source, index: int) -> dict[str, bytes]:
    """{extension: content} of the sample at this position. Raises Unreadable where its image or
    mask cannot be read.
    """
    return (
        _stored_members(source, index)
        if isinstance(source, ReadSource)
        else _drawn_members(source, index)
    )


def _stored_members(source: ReadSource, index: int) -> dict[str, bytes]:
    source.load(index)  # what cannot be decoded is not worth keeping
    stored = source.stored(index)
    suffix, content = _image(stored.image)
    found = {suffix: content} | _words(
        stored.sample.captions or (stored.sample.caption,), stored.sample.label
    )
    meaning = source.masks
    if stored.class_mask is not None:
        found["seg.png"] = _mask(
            stored.class_mask, meaning.classes if meaning else None, IGNORED_PIXEL
        )
    if stored.instance_mask is not None:
        found["instances.png"] = _mask(
            stored.instance_mask, meaning.instances if meaning else None, 0
        )
    return found


def _drawn_members(source: Source, index: int) -> dict[str, bytes]:
    batch = source.__getitems__([index])
    if batch.skipped:
        raise Unreadable(batch.skipped[0])
    pixels = (batch.images[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    found = {"png": _png(Image.fromarray(pixels))} | _words(
        batch.captions[:1], int(batch.labels[0])
    )
    if batch.class_masks is not None:
        found["seg.png"] = _mask_png(batch.class_masks[0])
    if batch.instance_masks is not None:
        found["instances.png"] = _mask_png(batch.instance_masks[0])
    return found


def _words(captions: tuple[str, ...], label: int) -> dict[str, bytes]:
    """One caption as text, several as JSON."""
    several = {"json": json.dumps({"captions": captions}, ensure_ascii=False).encode()}
    words = {"txt": captions[0].encode()} if len(captions) == 1 else several
    return words if label == NO_LABEL else words | {"cls": str(label).encode()}


def _image(encoded: Encoded) -> tuple[str, bytes]:
    content = encoded.read_bytes() if isinstance(encoded, Path) else encoded
    with Image.open(io.BytesIO(content)) as image:
        suffix = SUFFIXES.get(image.format or "")
        return (suffix, content) if suffix else ("png", _png(image, exif=image.getexif()))


def _mask(encoded: Encoded, table: dict[int, int] | None, otherwise: int) -> bytes:
    """The mask in its own size, with the meaning of its numbers instead of the numbers."""
    numbers = torch.from_numpy(
        mask_numbers(io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded)
    )
    return _mask_png(translated(numbers, table, otherwise))


def _mask_png(mask: Tensor) -> bytes:
    numbers = mask.numpy()
    return _png(
        Image.fromarray(numbers.astype(np.uint8 if numbers.max(initial=0) <= WIDEST else np.uint16))
    )


def _png(image: Image.Image, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, "PNG", **options)
    return content.getvalue()
