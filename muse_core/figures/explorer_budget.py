"""How much attention fits into a page: fewer heads or fewer images where the maps would make it too
heavy.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from muse_core.errors import MuseError
from muse_core.figures.explorer import AttentionSource

PAGE_BYTES = 4_200_000
"""What the explorer may add to a page, so that pages stay under 8 MB."""

BYTES_A_VALUE = 0.75
"""Of a map's 8-bit value in the page, compressed and in base64: 0.70 measured on 8 networks of run
tiny.
"""

ENOUGH_IMAGES = 3
"""Heads are averaged before fewer images than these are shown."""


def within_budget(
    sources: Sequence[AttentionSource], budget: int = PAGE_BYTES
) -> tuple[list[AttentionSource], int, str]:
    """The sources, lighter if they must be; how many images of them to show; and a sentence on what
    was left out, or "".

    Heads are averaged in neighbouring pairs until `ENOUGH_IMAGES` fit; then as many images are kept
    as fit. Raises MuseError where even one image with one head is too much."""
    kept, heads, asked = (
        list(sources),
        max(source.maps.shape[2] for source in sources),
        len(sources[0].maps),
    )
    enough = min(asked, ENOUGH_IMAGES)
    while enough * _bytes(kept) / asked > budget and any(
        source.maps.shape[2] > 1 for source in kept
    ):
        kept = [_halved(source) for source in kept]
    each = _bytes(kept) / asked
    if each > budget:
        raise MuseError(
            f"The attention of one image takes {each / 1e6:.0f} MB, more than a page may: lower the resolution, or show "
            "fewer networks."
        )
    count = min(asked, int(budget // each))
    left = max(source.maps.shape[2] for source in kept)
    said = [f"heads are averaged in groups of {heads // left}"] if left < heads else []
    said += [f"{count} of {asked} images are shown"] if count < asked else []
    kept = [replace(source, maps=source.maps[:count]) for source in kept]
    return (
        kept,
        count,
        f"To keep the page under {budget / 1e6:.1f} MB, {' and '.join(said)}." if said else "",
    )


def _bytes(sources: Sequence[AttentionSource]) -> float:
    return sum(source.maps.size for source in sources) * BYTES_A_VALUE


def _halved(source: AttentionSource) -> AttentionSource:
    """Neighbouring heads averaged in pairs; an odd last one stays alone."""
    heads = source.maps.shape[2]
    pairs = [source.maps[:, :, at : at + 2].mean(2) for at in range(0, heads, 2)]
    return replace(source, maps=np.stack(pairs, axis=2))
