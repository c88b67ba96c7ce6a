"""Images before and after an edit, one laid over the other, with a slider between them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jinja2 import Environment

from muse_core.errors import MuseError
from muse_core.figures.explorer import png_uri
from muse_core.figures.images import pixels
from muse_core.figures.theme import MARK


def before_after(
    before: np.ndarray, after: np.ndarray, captions: Sequence[str], title: str = ""
) -> str:
    """HTML: each pair as one picture, before on the left of a line and after on its right; one
    slider moves the line of all.

    Args:
        before: (images, 3, height, width) in [0, 1].
        after: The same images, changed.
        captions: Below each.
        title: Above all.

    Raises:
        MuseError: There is not one caption and one image after for each before.
    """
    if not len(before) == len(after) == len(captions):
        raise MuseError(
            f"There are {len(before)} images before, {len(after)} after and {len(captions)} "
            "captions: give as many of each."
        )
    uris = ([png_uri(tile) for tile in pixels(images)] for images in (before, after))
    pairs = list(zip(*uris, captions, strict=True))
    file = Path(__file__).with_name("before_after.html.j2")
    template = Environment(autoescape=True).from_string(file.read_text(encoding="utf-8"))
    return template.render(pairs=pairs, title=title, mark=MARK)
