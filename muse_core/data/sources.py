"""`open_source`: the one place where a data set's name in a config, such as "folder:~/photos",
becomes a `Source`.
"""

from collections.abc import Callable
from pathlib import Path

from muse_core.data.batch import Source
from muse_core.data.captions import open_captions
from muse_core.data.hub import open_hub
from muse_core.data.hub_stream import open_hub_stream
from muse_core.data.image_files import open_folder
from muse_core.data.masks import open_masks
from muse_core.data.mixture import open_mixture
from muse_core.data.pets import open_pets
from muse_core.data.scenes import Scenes
from muse_core.data.splits import NO_OPTIONS, OPTIONS, Options, check_split
from muse_core.data.webdataset import open_shards
from muse_core.errors import MuseError, unknown
from muse_core.paths import user_path

Opener = Callable[[str, str, int, int, Options], Source]
"""(what follows the colon, split, image size in pixels, seed, options) -> the split."""

PLACES = {"wds": "PATTERN", "hf": "NAME", "hf-stream": "NAME", "mix": "27*SOURCE,5*SOURCE"}
"""What follows the colon, where that is not a PATH."""


def _scenes(place: str, split: str, image_size: int, seed: int, _: Options) -> Source:
    if place:
        raise MuseError(
            "The data source 'scenes' is drawn, not read, and takes no path: write 'scenes', not "
            f"{place}."
        )
    return Scenes(split, image_size, seed)


def _from_files(opener: Callable[[Path, str, int, Options], Source]) -> Opener:
    return _stored(lambda place, *asked: opener(user_path(place), *asked))


def _stored(opener: Callable[[str, str, int, Options], Source]) -> Opener:
    return lambda place, split, image_size, _, options: opener(place, split, image_size, options)


def _mixture(place: str, split: str, image_size: int, seed: int, _: Options) -> Source:
    return open_mixture(
        place, lambda spec: open_source(spec, split, image_size, seed), repeats=split == "train"
    )


OPENERS: dict[str, Opener] = {
    "scenes": _scenes,
    "folder": _from_files(open_folder),
    "captions": _from_files(open_captions),
    "masks": _from_files(open_masks),
    "pets": _from_files(open_pets),
    "wds": _stored(open_shards),
    "hf": _stored(open_hub),
    "hf-stream": _stored(open_hub_stream),
    "mix": _mixture,
}


def forms() -> list[str]:
    """How each kind of source is written."""
    return [
        "scenes",
        *(f"{name}:{PLACES.get(name, 'PATH')}" for name in OPENERS if name != "scenes"),
    ]


def open_source(spec: str, split: str, image_size: int, seed: int = 0) -> Source:
    """One split of the data set that ``spec`` names.

    Args:
        spec: "scenes", "folder:PATH", "captions:PATH", "masks:PATH", "pets:PATH", "wds:PATTERN"
            (tar shards), "hf:NAME" (Hugging Face datasets), "hf-stream:NAME" (the same, not
            downloaded) or "mix:27*SOURCE,5*SOURCE" (several, by ratio). Behind a place may stand
            what names leave open: "?train=part1&val=part2&column=alt".
        split: "train", "val" or "test"; of scenes also "verdict".
        image_size: pixels a side of the squares that images come as.
        seed: draws other scenes; files are what they are.

    Raises:
        MuseError: for an unknown source, split or size, and for a place without such data.
    """
    prefix, _, place = (part.strip() for part in spec.partition(":"))
    if prefix != "scenes":
        check_split(split)
    if prefix not in OPENERS:
        raise unknown("data source", spec, forms())
    if "\0" in spec:
        raise MuseError("The data source holds a NUL character, which no path has: write it again.")
    if image_size < 1:
        raise MuseError(
            f"image_size is {image_size} pixels: give the network's input size, for example 64."
        )
    if not place and prefix != "scenes":
        what = PLACES.get(prefix, "PATH")
        raise MuseError(
            f"The data source {prefix!r} needs a {what.lower()}: write '{prefix}:{what}'."
        )
    place, options = (place, NO_OPTIONS) if prefix == "mix" else options_of(place)
    return OPENERS[prefix](place, split, image_size, seed, options)


def options_of(place: str) -> tuple[str, Options]:
    """The place, and what is said behind it. Raises MuseError for an unknown option."""
    bare, _, said = place.rpartition("?")
    pairs = [one.partition("=") for one in said.split("&")]
    if not bare or not all(name.isidentifier() and value for name, _, value in pairs):
        return place, NO_OPTIONS
    for name, _, _ in pairs:
        if name not in OPTIONS:
            raise unknown(f"option of {bare}", name, OPTIONS)
    return bare, {name: value for name, _, value in pairs}
