"""An array or a tensor as the image that it holds."""

from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from muse_core.errors import MuseError

CHANNELS = (1, 3, 4)
"""Grey, RGB, RGB with transparency."""
HALF_A_LEVEL = 0.5 / 255
"""How far beyond [0, 1] arithmetic may have taken a number that is written in 8 bits."""


def picture_of(name: str, array: Any) -> Image.Image:
    """A Pillow image of 8 bits.

    Args:
        name: For the sentence of what cannot be one.
        array: (height, width), (height, width, channels) or (channels, height, width), bytes or
            numbers in [0, 1]. Where both ends may be channels, a tensor's are its first axis and an
            array's its last.

    Raises:
        MuseError: For another shape, other numbers, or another kind of them.
    """
    ends = (0, -1) if isinstance(array, Tensor) else (-1, 0)
    if isinstance(array, Tensor):
        array = array.detach().cpu()
        array = (array.float() if array.is_floating_point() else array).numpy()
    return Image.fromarray(_eight_bits(name, _channels_last(name, array, ends)))


def _channels_last(name: str, array: np.ndarray, ends: tuple[int, int]) -> np.ndarray:
    """(height, width, 3 or 4), or (height, width) of grey."""
    if array.ndim == 2 and array.size:
        return array
    axes = [axis for axis in ends if array.ndim == 3 and array.shape[axis] in CHANNELS]
    if not axes or not array.size:
        raise MuseError(
            f"{name} is an array of shape {array.shape}: give (height, width, channels) or "
            "(channels, height, width), with 1, 3 or 4 channels."
        )
    moved = np.moveaxis(array, axes[0], -1)
    return moved[..., 0] if moved.shape[-1] == 1 else moved


def _eight_bits(name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    low, high = float(array.min()), float(array.max())
    if array.dtype.kind == "f" and -HALF_A_LEVEL <= low <= high <= 1 + HALF_A_LEVEL:
        return np.rint(array.clip(0, 1) * 255).astype(np.uint8)
    raise MuseError(
        f"{name} holds {array.dtype} from {low:.4g} to {high:.4g}: give bytes (uint8), or numbers "
        "in [0, 1] as they are before any normalisation."
    )
