"""`FileSource`: the one source behind every folder of image files. The openers beside it only list
its samples.
"""

from functools import cached_property
from hashlib import blake2b
from pathlib import Path

from muse_core.data.reading import MaskMeaning, ReadSource, Sample, Stored
from muse_core.errors import MuseError

__all__ = ["FileSource", "MaskMeaning", "Sample", "existing_folder"]


class FileSource(ReadSource):
    """Images of one split, each a file under ``root``. ``mask_class_names`` names the classes of
    ``class_masks``.
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
        self.samples, self.class_names, self.place = samples, class_names, str(root)
        self.masks = masks if any(sample.mask for sample in samples) else None
        self.with_instances = self.masks is not None and self.masks.instances is not None
        self.mask_class_names = self.masks.names if self.masks else ()
        self.unreadable: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self.samples)

    @cached_property
    def fingerprint(self) -> str:
        """A hash over the samples' names, words and file sizes, the split and the image size;
        contents are not read.
        """
        digest = blake2b(f"{self.split}/{self.image_size}px".encode(), digest_size=8)
        for sample in self.samples:
            digest.update(
                f"{sample}{_file_size(self.root / sample.id)}".encode("utf-8", "surrogateescape")
            )
        return f"{self.name}/{self.split}/{self.image_size}px/{digest.hexdigest()}"

    def sample_id(self, index: int) -> str:
        return self.samples[index].id

    def stored(self, index: int) -> Stored:
        sample = self.samples[index]
        mask = self.root / sample.mask if sample.mask and self.masks else None
        return Stored(sample, self.root / sample.id, mask, mask if self.with_instances else None)


def text_lines(path: Path) -> list[str]:
    """The lines of a text file. Raises MuseError where it is something else."""
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise MuseError(
            f"{path} is no text (line {_lines_before(error)}): save it as UTF-8 text."
        ) from error


def _lines_before(error: UnicodeDecodeError) -> int:
    return error.object[: error.start].count(b"\n") + 1


def existing_folder(path: Path, layout: str) -> Path:
    """The folder itself. Raises MuseError, with the layout it should have, when there is no such
    folder.
    """
    if not path.is_dir():
        raise MuseError(f"There is no folder {path}: give the path of a folder with {layout}.")
    return path


def _file_size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1
