"""`ReadSource`: what every source of stored images shares, wherever the bytes lie: decoding,
captions, masks, and what is unreadable.
"""

import io
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from muse_core.data.batch import IGNORED_PIXEL, NO_LABEL, Batch, Source
from muse_core.data.caption_sampling import drawn_caption
from muse_core.data.decode import Photo, Unreadable, read_mask, read_photo
from muse_core.data.text_files import readable
from muse_core.errors import MuseError
from muse_core.shapes import Int

Encoded = Path | bytes
"""An image file, or its bytes."""


@dataclass(frozen=True)
class Sample:
    """One image and what is known about it.

    Args:
        id: its name; of a file, the path relative to the source's root, with forward slashes.
        captions: at least one; an evaluation takes the first.
        label: class index.
        mask: the file of its mask, likewise relative.
    """

    id: str
    captions: tuple[str, ...]
    label: int = NO_LABEL
    mask: str | None = None


@dataclass(frozen=True)
class MaskMeaning:
    """What the numbers in mask files mean.

    Args:
        names: of the classes.
        classes: {number in the file: class}; None where the numbers are classes already. A number
            it does not hold is void.
        instances: {number in the file: object}; None where the numbers are objects already. A
            number it does not hold is no object.
    """

    names: tuple[str, ...]
    classes: dict[int, int] | None = None
    instances: dict[int, int] | None = None

    @property
    def two(self) -> bool:
        """Whether 255 in a mask of 0 and 255 alone means the second class."""
        return len(self.names) == 2 and (self.classes is None or set(self.classes) == {0, 1})

    def classes_of(self, numbers: Tensor) -> Tensor:
        """The class of each number in a file."""
        if self.classes is None and self.names:
            return torch.where(numbers < len(self.names), numbers, IGNORED_PIXEL)
        return translated(numbers, self.classes, IGNORED_PIXEL)

    def unknown(self, numbers: Tensor) -> bool:
        """Whether a file has numbers that are neither a class nor void."""
        several = numbers[numbers != IGNORED_PIXEL]
        return (
            self.classes is None and bool(self.names) and bool((several >= len(self.names)).any())
        )


WORDLESS = "images whose words are blank: called a photo of their class"


@dataclass(frozen=True)
class Stored:
    """A sample as it is stored, not decoded. ``said``: what was made of it, as of `Loaded`."""

    sample: Sample
    image: Encoded
    class_mask: Encoded | None = None
    instance_mask: Encoded | None = None
    said: tuple[str, ...] = ()


@dataclass(frozen=True)
class Loaded:
    """A sample in memory; masks hold classes and objects. ``said``: what was made of numbers that
    could mean something else.
    """

    sample: Sample
    photo: Photo
    class_mask: Int[Tensor, "size size"] | None
    instance_mask: Int[Tensor, "size size"] | None
    said: tuple[str, ...] = ()


class ReadSource(Source):
    """Images of one split, read when asked for.

    An image that cannot be read is named in `Batch.skipped` with the reason, and the next readable
    one of the split takes its place; it is tried once, then remembered in ``unreadable``. Samples
    without a mask, in a split where others have one, get void class masks and empty instance masks.
    Leaves set the fields and define the last two methods.
    """

    split: str
    image_size: int
    place: str
    """Where the images are, as a sentence about them would say it."""
    masks: MaskMeaning | None = None
    with_instances: bool = False
    unreadable: dict[str, tuple[str, str]]
    """Id -> reason and what mends it, of the samples that were tried in vain."""

    @abstractmethod
    def sample_id(self, index: int) -> str:
        """The name of the sample at this position."""

    @abstractmethod
    def stored(self, index: int) -> Stored:
        """The sample at this position. Raises Unreadable."""

    def __getitems__(self, indices: list[int]) -> Batch:
        return self._batch(indices, lambda sample: sample.captions[0])

    def drawn(self, indices: list[int], seed: int, epoch: int) -> Batch:
        return self._batch(
            indices, lambda sample: drawn_caption(sample.captions, sample.id, seed, epoch)
        )

    def _batch(self, indices: list[int], caption: Callable[[Sample], str]) -> Batch:
        skipped = dict.fromkeys(self.notes)
        return self.joined([self._readable(index, skipped) for index in indices], caption, skipped)

    def joined(
        self, loaded: list[Loaded], caption: Callable[[Sample], str], skipped: dict[str, None]
    ) -> Batch:
        """Samples as one batch, each with the caption that ``caption`` chooses."""
        skipped = skipped | dict.fromkeys(words for each in loaded for words in each.said)
        return Batch(
            images=torch.stack([each.photo.pixels for each in loaded]),
            captions=tuple(caption(each.sample) for each in loaded),
            labels=torch.tensor([each.sample.label for each in loaded]),
            ids=tuple(readable(each.sample.id) for each in loaded),
            class_masks=self._filled([each.class_mask for each in loaded], IGNORED_PIXEL)
            if self.masks
            else None,
            instance_masks=self._filled([each.instance_mask for each in loaded], 0)
            if self.with_instances
            else None,
            skipped=tuple(skipped),
            enlarged=tuple(
                dict.fromkeys(readable(each.sample.id) for each in loaded if each.photo.enlarged)
            ),
        )

    def load(self, index: int) -> Loaded:
        """The sample at this position, decoded. Raises Unreadable."""
        name = self.sample_id(index)
        try:
            if name in self.unreadable:
                raise Unreadable(*self.unreadable[name])
            return self.decoded(self.stored(index))
        except Unreadable as reason:
            self.unreadable[name] = reason.args
            raise

    def _readable(self, index: int, skipped: dict[str, None]) -> Loaded:
        """The sample at this position, or the first readable one after it. Raises MuseError when
        there is none.
        """
        for position in range(index, index + len(self)):
            try:
                return self.load(position % len(self))
            except Unreadable as reason:
                skipped[f"{readable(self.sample_id(position % len(self)))} ({reason})"] = None
        first, (why, mend) = next(iter(self.unreadable.items()))
        raise MuseError(
            f"None of the {len(self)} {self.split} images in {self.place} can be read (the first, "
            f"{readable(first)}: {why}): {mend}."
        )

    def decoded(self, stored: Stored) -> Loaded:
        """A stored sample in memory. Raises Unreadable."""
        photo = read_photo(opened(stored.image), self.image_size)
        meaning = self.masks or MaskMeaning(names=())
        read: dict[Encoded | None, Any] = {
            mask: read_mask(opened(mask), self.image_size, photo.crop, meaning.two)
            for mask in {stored.class_mask, stored.instance_mask}
            if mask is not None
        }
        classes, binary = read.get(stored.class_mask, (None, False))
        instances, _ = read.get(stored.instance_mask, (None, False))
        beyond = classes is not None and meaning.unknown(classes)
        void = classes is not None and set(classes.unique().tolist()) == {0, IGNORED_PIXEL}
        said = {
            "masks of 0 and 255 with one class: 255 was left void": void
            and len(meaning.names) == 1,
            "masks of 255 all over, with two classes: left void": len(meaning.names) == 2
            and classes is not None
            and bool((classes == IGNORED_PIXEL).all()),
            photo.said: bool(photo.said),
            f"masks of 0 and 255: 255 was read as {', '.join(meaning.names[-1:])}": binary,
            f"masks hold numbers beyond their {len(meaning.names)} classes, left void": beyond,
        }
        return Loaded(
            stored.sample,
            photo,
            None if classes is None else meaning.classes_of(classes),
            None if instances is None else translated(instances, meaning.instances, 0),
            (*stored.said, *(words for words, true in said.items() if true)),
        )

    def _filled(self, masks: list[Tensor | None], otherwise: int) -> Tensor:
        blank = torch.full((self.image_size, self.image_size), otherwise)
        return torch.stack([blank if mask is None else mask for mask in masks])


def translated(mask: Tensor, table: dict[int, int] | None, otherwise: int) -> Tensor:
    """Each number of the mask as the table says; ``otherwise`` for a number it does not hold."""
    if table is None:
        return mask
    result = torch.full_like(mask, otherwise)
    for number, meaning in table.items():
        result[mask == number] = meaning
    return result


def opened(encoded: Encoded) -> Path | io.BytesIO:
    """What a decoder reads: the file, or the bytes as one."""
    return io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded
