"""`FileSource`: the one source behind every folder of image files. The openers beside it only list its samples."""

from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path

import torch
from torch import Tensor

from muse_core.data.batches import IGNORED_PIXEL, NO_LABEL, Batch, Source
from muse_core.data.images import Photo, Unreadable, read_mask, read_photo
from muse_core.errors import MuseError
from muse_core.shapes import Int


@dataclass(frozen=True)
class Sample:
    """One image and what is known about it; files are named relative to the source's root, with forward slashes."""

    id: str
    caption: str
    label: int = NO_LABEL
    mask: str | None = None


@dataclass(frozen=True)
class MaskMeaning:
    """What the numbers in mask files mean: ``names`` of the classes, and tables {number in file: class or instance}.

    Without ``classes`` the numbers are classes already. A number outside its table is void (class) or
    nobody (instance).
    """

    names: tuple[str, ...]
    classes: dict[int, int] | None = None
    instances: dict[int, int] | None = None


@dataclass(frozen=True)
class Loaded:
    """A sample in memory; ``mask`` holds the file's own numbers."""

    sample: Sample
    photo: Photo
    mask: Int[Tensor, "size size"] | None


class FileSource(Source):
    """Images of one split, read when asked for.

    A file that cannot be read is named in `Batch.skipped` and the next readable image of the split takes its place; it
    is tried once, then remembered in ``unreadable`` with the reason. Samples without a mask, in a split where others
    have one, get void class masks and empty instance masks. ``mask_class_names`` names the classes of ``class_masks``.
    """

    def __init__(
        self,
        name: str,
        root: Path,
        split: str,
        image_size: int,
        samples: tuple[Sample, ...],
        class_names: tuple[str, ...] = (),
        masks: MaskMeaning | None = None,
    ) -> None:
        self.name, self.root, self.split, self.image_size = name, root, split, image_size
        self.samples, self.class_names = samples, class_names
        self.masks = masks if any(sample.mask for sample in samples) else None
        self.mask_class_names = self.masks.names if self.masks else ()
        self.unreadable: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self.samples)

    @cached_property
    def fingerprint(self) -> str:
        """A hash over the samples' names, words and file sizes, the split and the image size; contents are not read."""
        digest = blake2b(f"{self.split}/{self.image_size}px".encode(), digest_size=8)
        for sample in self.samples:
            digest.update(f"{sample}{_file_size(self.root / sample.id)}".encode("utf-8", "surrogateescape"))
        return f"{self.name}/{self.split}/{self.image_size}px/{digest.hexdigest()}"

    def __getitems__(self, indices: list[int]) -> Batch:
        skipped: dict[str, None] = {}
        loaded = [self._readable(index, skipped) for index in indices]
        return Batch(
            images=torch.stack([each.photo.pixels for each in loaded]),
            captions=tuple(each.sample.caption for each in loaded),
            labels=torch.tensor([each.sample.label for each in loaded]),
            ids=tuple(each.sample.id for each in loaded),
            class_masks=self._class_masks(loaded),
            instance_masks=self._instance_masks(loaded),
            skipped=tuple(skipped),
            enlarged=tuple(dict.fromkeys(each.sample.id for each in loaded if each.photo.enlarged)),
        )

    def _readable(self, index: int, skipped: dict[str, None]) -> Loaded:
        """The sample at this position, or the first readable one after it. Raises MuseError when there is none."""
        for position in range(index, index + len(self)):
            sample = self.samples[position % len(self)]
            try:
                return self._load(sample)
            except Unreadable as reason:
                self.unreadable[sample.id] = str(reason)
                skipped[sample.id] = None
        first, reason = next(iter(self.unreadable.items()))
        raise MuseError(
            f"None of the {len(self)} {self.split} images in {self.root} can be read (the first, {first}: {reason}): "
            "replace them with intact images."
        )

    def _load(self, sample: Sample) -> Loaded:
        if sample.id in self.unreadable:
            raise Unreadable(self.unreadable[sample.id])
        photo = read_photo(self.root / sample.id, self.image_size)
        mask = read_mask(self.root / sample.mask, self.image_size, photo.crop) if sample.mask else None
        return Loaded(sample, photo, mask)

    def _class_masks(self, loaded: list[Loaded]) -> Tensor | None:
        return self._masks(loaded, self.masks.classes, IGNORED_PIXEL) if self.masks else None

    def _instance_masks(self, loaded: list[Loaded]) -> Tensor | None:
        return self._masks(loaded, self.masks.instances, 0) if self.masks and self.masks.instances else None

    def _masks(self, loaded: list[Loaded], table: dict[int, int] | None, otherwise: int) -> Tensor:
        blank = torch.full((self.image_size, self.image_size), otherwise)
        return torch.stack([blank if each.mask is None else _translate(each.mask, table, otherwise) for each in loaded])


def text_lines(path: Path) -> list[str]:
    """The lines of a text file. Raises MuseError where it is something else."""
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise MuseError(f"{path} is no text (line {_lines_before(error)}): save it as UTF-8 text.") from error


def _lines_before(error: UnicodeDecodeError) -> int:
    return error.object[: error.start].count(b"\n") + 1


def existing_folder(path: Path, layout: str) -> Path:
    """The folder itself. Raises MuseError, with the layout it should have, when there is no such folder."""
    if not path.is_dir():
        raise MuseError(f"There is no folder {path}: give the path of a folder with {layout}.")
    return path


def _file_size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1


def _translate(mask: Tensor, table: dict[int, int] | None, otherwise: int) -> Tensor:
    if table is None:
        return mask
    translated = torch.full_like(mask, otherwise)
    for number, meaning in table.items():
        translated[mask == number] = meaning
    return translated
