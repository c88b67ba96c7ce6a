"""`MuseImageProcessor`: pictures of any kind -> ``pixel_values`` for `MuseTokenizer.encode`, and
back. Conventions of transformers' image processors.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError
from PIL import Image
from transformers import BatchFeature
from transformers.image_processing_utils import BaseImageProcessor
from transformers.utils import IMAGE_PROCESSOR_NAME

from muse_core.data.decode import FITS, MOST_PIXELS
from muse_core.data.own_images import Pictures, pictures
from muse_core.errors import MuseError, shown, unknown
from muse_core.figures.images import pixels
from muse_core.foundations.loading import read_object, reading, require_folder_or_hub
from muse_core.shapes import Images

WHAT, MEND = "image processor", "mend or delete that file"
ALWAYS = {
    "image_processor_type": "MuseImageProcessor",
    "do_convert_rgb": True,
    "do_rescale": True,
    "do_normalize": False,
}
"""What its file says for other readers, and nobody may change: images are in [0, 1], and each
frozen network normalises inside its own wrapper.
"""
PLACE = ("cache_dir", "local_files_only", "revision", "subfolder", "token")
"""Options of ``from_pretrained`` that say where a file of the hub is."""


class MuseImageProcessor(BaseImageProcessor):
    """Paths, Pillow images, arrays or tensors -> ``pixel_values`` (batch, 3, size, size) in [0, 1].

    Photographs are turned upright as their EXIF says, what is transparent is laid on white, grey
    becomes RGB; then the middle is cut out, or all of it padded to a square with grey
    (`muse_core.data.decode`)."""

    def __init__(self, size: int | Mapping[str, int], fit: str = "crop", **always: Any) -> None:
        """Args:
            size: Pixels a side, also as transformers writes it: {"height": 64, "width": 64}.
            fit: How an image becomes square, "crop" or "pad".
            **always: What `ALWAYS` says, as a saved file holds it.

        Raises:
            MuseError: For a size that is no square, and for other values than these.
        """
        for name, value in always.items():
            if name not in ALWAYS or value != ALWAYS[name]:
                raise MuseError(
                    f"A MuseImageProcessor has no {name}={shown(value)}: it takes size and fit, "
                    "and gives images in [0, 1], which the tokenizer itself normalises."
                )
        if fit not in FITS:
            raise unknown("fit", fit, FITS)
        super().__init__()
        side = _side(size)
        self.size, self.fit = {"height": side, "width": side}, fit

    @property
    def side(self) -> int:
        """Pixels."""
        return self.size["height"]

    @classmethod
    def from_pretrained(cls, location: str | Path, **options: Any) -> "MuseImageProcessor":
        """The processor saved with a tokenizer; for one that was saved without, that of its image
        size.

        Args:
            location: The tokenizer's folder, or a hub id OWNER/NAME.
            **options: ``size`` and ``fit`` to be used instead; where in the hub it is, as
                transformers' image processors take it (`PLACE`).

        Raises:
            MuseError: Where neither is there, or the file is damaged or of another processor.
        """
        place = {name: options.pop(name) for name in PLACE if name in options}
        folder = _folder(location, place)
        if (folder / IMAGE_PROCESSOR_NAME).is_file():
            return cls(**read_object(WHAT, folder / IMAGE_PROCESSOR_NAME, MEND) | options)
        tokenizer = read_object("tokenizer", folder / "config.json")
        return cls(**{"size": tokenizer.get("image_size"), **options})

    def to_dict(self) -> dict[str, Any]:
        """What ``preprocessor_config.json`` says."""
        return {"size": dict(self.size), "fit": self.fit} | ALWAYS

    def preprocess(
        self,
        images: Pictures,
        size: int | Mapping[str, int] | None = None,
        fit: str | None = None,
        return_tensors: str = "pt",
    ) -> BatchFeature:
        """``pixel_values``; calling the processor does the same.

        Args:
            images: One or several (`Pictures`); arrays hold bytes or numbers in [0, 1].
            size: Pixels a side, where another is wanted.
            fit: "crop" or "pad", likewise.
            return_tensors: "pt", or "np" for arrays.

        Raises:
            MuseError: For what is no picture.
        """
        side = self.side if size is None else _side(size)
        found = pictures(images, side, self.fit if fit is None else fit)
        return BatchFeature({"pixel_values": found.images}, tensor_type=return_tensors)

    def post_process(self, images: Images) -> list[Image.Image]:
        """Images (batch, 3, height, width), clamped to [0, 1], as Pillow images of 8 bits."""
        return [Image.fromarray(tile) for tile in pixels(images.detach().float().cpu())]


def _side(size: Any) -> int:
    """Raises MuseError for anything but one positive number of pixels."""
    sides = [*size.values()] if isinstance(size, Mapping) else [size]
    side = sides[0] if sides and all(each == sides[0] for each in sides) else None
    if not isinstance(side, int) or isinstance(side, bool) or not 1 <= side <= MOST_PIXELS**0.5:
        raise MuseError(
            f"The size {shown(size)} is no square of pixels: give one positive number, at most "
            f"{MOST_PIXELS**0.5:,.0f}."
        )
    return side


def _folder(location: str | Path, place: Mapping[str, Any]) -> Path:
    """Where the processor's file lies, or else the tokenizer's; of the hub, that one is fetched."""
    where = require_folder_or_hub(WHAT, location)
    if Path(where).is_dir():
        return Path(where, place.get("subfolder") or "")
    with reading(WHAT, where):
        with suppress(EntryNotFoundError):
            return Path(hf_hub_download(where, IMAGE_PROCESSOR_NAME, **place)).parent
        return Path(hf_hub_download(where, "config.json", **place)).parent
