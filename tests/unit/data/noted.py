"""What the property tests of the readers count: used + noted = present."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

from muse_core.data.reading import ReadSource
from muse_core.data.sources import open_source
from muse_core.data.splits import SPLITS
from muse_core.errors import MuseError

from .tars import picture

PNG = picture((9, 9, 9), (4, 4))


def write(root: Path, files: Iterable[str], content: bytes = PNG) -> Path:
    """These files, relative to the folder, all with the same content."""
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def jsonl(path: Path, rows: Iterable[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def noted(notes: Iterable[str]) -> int:
    """How much the notes stand for."""
    return sum(int(re.match(r"[\d,]+", note)[0].replace(",", "")) for note in notes)


def opened(spec: str) -> list[ReadSource]:
    """Every split that there is, at least one. Raises MuseError where there is none."""
    found, refused = [], []
    for split in SPLITS:
        try:
            found.append(open_source(spec, split, 4))
        except MuseError as error:
            refused.append(error)
    if not found:
        raise refused[0]
    assert len({source.notes for source in found}) == 1
    return found


def read(sources: Iterable[ReadSource]) -> tuple[set[str], set[str]]:
    """The samples that an epoch over all splits gives, and what it says it could not read."""
    batches = [source.first(len(source)) for source in sources]
    notes = {note for source in sources for note in source.notes}
    skipped = {note for batch in batches for note in batch.skipped}
    return {name for batch in batches for name in batch.ids}, skipped - notes
