"""What images, captions and labels are called in other people's data: one table for JSON Lines,
members of tars and columns of Hugging Face data sets.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from muse_core.data.batch import NO_LABEL
from muse_core.data.decode import Unreadable
from muse_core.errors import MuseError

IMAGE_COLUMNS = ("image", "img", "jpg", "jpeg", "png", "webp", "pixel_values")
CAPTION_COLUMNS = ("captions", "caption", "text", "txt", "sentences", "json")
LABEL_COLUMNS = ("label", "labels", "cls", "fine_label", "class")

MOST_CHARACTERS = 100_000
"""Of one caption; what follows is cut, since no text tower reads so far."""


@dataclass(frozen=True)
class Columns:
    """The columns that are read; ``class_names`` are those of ``label``."""

    image: str
    captions: str | None
    label: str | None
    class_names: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        return [name for name in (self.image, self.captions, self.label) if name]

    def captions_of(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        """All captions of a row. Raises Unreadable where the column holds something else."""
        value = row.get(self.captions) if self.captions else None
        try:
            return captions_in([] if value is None else value)
        except ValueError as error:
            raise Unreadable(f"its {self.captions} is no text") from error

    def label_of(self, row: Mapping[str, Any]) -> int:
        """The row's class, `NO_LABEL` where it says none."""
        value = row.get(self.label) if self.label else None
        return value if isinstance(value, int) and 0 <= value < len(self.class_names) else NO_LABEL


def columns_of(place: str, features: Mapping[str, Any]) -> Columns:
    """The columns of a data set with these features. Raises MuseError where none holds images."""
    image, captions, label = (
        next((name for name in names if name in features), None)
        for names in (IMAGE_COLUMNS, CAPTION_COLUMNS, LABEL_COLUMNS)
    )
    if image is None:
        raise MuseError(
            f"{place} has no column of images (it has: {', '.join(features)}): it should be called "
            f"{' or '.join(IMAGE_COLUMNS[:3])}."
        )
    class_names = getattr(features[label], "names", ()) if label else ()
    return Columns(image, captions, label, tuple(class_names or ()))


def captions_in(value: object) -> tuple[str, ...]:
    """All captions in a JSON value: a text, a list of texts, or an object that has such a field.

    They are trimmed, none is empty, and each can be encoded: half a surrogate pair, which JSON can
    say and no tokenizer takes, becomes "?".

    Raises:
        ValueError: for another kind of value.
    """
    if isinstance(value, Mapping):
        value = next((value[name] for name in CAPTION_COLUMNS if value.get(name)), [])
    several = [value] if isinstance(value, str) else value
    if not isinstance(several, list):
        raise ValueError("captions are a text or a list of texts")
    texts = (text[:MOST_CHARACTERS] for text in several if isinstance(text, str))
    cleaned = (text.encode("utf-8", "replace").decode().strip() for text in texts)
    return tuple(text for text in cleaned if text)


def parsed_json(text: str | bytes) -> Any:
    """The JSON value. Raises ValueError, also for lists in lists beyond Python's depth."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
