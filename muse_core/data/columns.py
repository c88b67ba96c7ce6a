"""What images, captions and labels are called in other people's data: one table for JSON Lines,
members of tars and columns of Hugging Face data sets.
"""

import re
from ast import literal_eval
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from muse_core.data.batch import NO_LABEL
from muse_core.data.class_prompts import class_words
from muse_core.data.decode import Unreadable
from muse_core.data.notes import Notes
from muse_core.data.splits import NO_OPTIONS, Options
from muse_core.data.text_files import parsed_json
from muse_core.errors import MuseError, unknown

IMAGE_COLUMNS = ("image", "img", "picture", "photo", "jpg", "jpeg", "png", "webp", "pixel_values")
FILE_COLUMNS = (
    "file_name",
    "filename",
    "file",
    "path",
    "file_path",
    "image_path",
    *IMAGE_COLUMNS,
    "filepath",
)
CAPTION_COLUMNS = (
    *("captions", "caption", "text", "texts", "txt", "sentences", "sentence", "json", "raw"),
    *("prompt", "prompts", "description", "descriptions", "alt_text", "alt", "long_caption"),
)
LABEL_COLUMNS = ("label", "labels", "cls", "fine_label", "class", "class_name", "category")
SPLIT_COLUMNS = ("split", "subset")
"""Upper and lower case are the same, and so are spaces, "-" and "_"; the first that is there is
read.
"""

_WORDS = re.compile(r"caption|text|prompt|description|sentence")

MOST_CHARACTERS = 100_000
"""Of one caption; what follows is cut, since no text tower reads so far."""


def known(names: Iterable[str], table: Sequence[str]) -> list[str]:
    """Those of the names that stand in the table, in the table's order."""
    spelled: dict[str, str] = {}
    for name in names:
        spelled.setdefault(_spelling(name), name)
    return [spelled[name] for name in map(_spelling, table) if name in spelled]


@lru_cache(maxsize=1000)
def _spelling(name: str) -> str:
    return name.strip().casefold().replace("-", "_").replace(" ", "_")


def unread_words(names: Iterable[str], read: Sequence[str]) -> list[str]:
    """Those of the names that are called like words and are not among those that are read."""
    table = set(map(_spelling, CAPTION_COLUMNS))
    return [
        name
        for name in names
        if name not in read and (_spelling(name) in table or _WORDS.search(_spelling(name)))
    ]


def is_absent(value: object) -> bool:
    """Whether a value says nothing: null, NaN, or nothing but blanks."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or value != value or (isinstance(value, (list, tuple)) and not value)


def value_of(row: Mapping[str, Any], table: Sequence[str]) -> Any:
    """The first value under one of the table's names that says something, else None."""
    return next((row[name] for name in known(row, table) if not is_absent(row[name])), None)


def captions_in(value: object, table: Sequence[str] = CAPTION_COLUMNS) -> tuple[str, ...]:
    """All captions in a JSON value: a text, a list of them, an object that has such a field, and
    such objects in lists.

    They are trimmed, none is empty or there twice, and each can be encoded: half a surrogate pair,
    which JSON can say and no tokenizer takes, becomes "?".

    Raises:
        ValueError: for another kind of value.
    """
    if value is None:
        raise ValueError("captions are a text or a list of texts")
    texts, waiting = [], [value]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, str) and (held := _held(one, table)):
            waiting[:0] = held
        elif isinstance(one, str):
            texts.append(one[:MOST_CHARACTERS].encode("utf-8", "replace").decode().strip())
        elif isinstance(one, Mapping):
            waiting.insert(0, value_of(one, table))
        elif isinstance(one, (list, tuple)):
            waiting[:0] = one
        elif not is_absent(one):
            raise ValueError("captions are a text or a list of texts")
    return tuple(dict.fromkeys(filter(None, texts)))


def _held(text: str, table: Sequence[str]) -> list[str]:
    """The captions in a text that is a list of texts, or an object with a field of them, as JSON or
    Python writes it.
    """
    text = text.strip()
    if text[:1] + text[-1:] not in ("[]", "{}"):
        return []
    for read in (parsed_json, literal_eval):
        # What both make of a sentence in brackets is any of these.
        with suppress(ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            value = read(text[:MOST_CHARACTERS])
            value = value_of(value, table) if isinstance(value, dict) else value
            texts = value if isinstance(value, list) else [value]
            # One that holds itself again is taken as it stands.
            if all(isinstance(one, str) and one.strip()[:1] not in ("[", "{") for one in texts):
                return texts
    return []


def label_in(value: object) -> str | None:
    """The one class a value names, by word or by a number from 0, if it names one."""
    if isinstance(value, (list, tuple)):
        return label_in(value[0]) if len(value) == 1 else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and value < 0:
        return None
    named = isinstance(value, (str, int)) and not is_absent(value)
    return str(value).strip() if named else None


def class_order(labels: Iterable[str | None]) -> tuple[str, ...]:
    """The classes that labels name, sorted; numbers as numbers."""
    names = {label for label in labels if label is not None}
    numbers = all(map(str.isdecimal, names))
    return tuple(sorted(names, key=int if numbers else None))


@dataclass(frozen=True)
class Columns:
    """The columns that are read.

    Args:
        class_names: of ``label``.
        classes: its values as words -> class; empty where its numbers are classes already.
    """

    image: str
    captions: str | None
    label: str | None
    class_names: tuple[str, ...]
    classes: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        return [name for name in (self.image, self.captions, self.label) if name]

    @property
    def named(self) -> bool:
        """False where class names are only their numbers, and make no caption."""
        return not all(map(str.isdecimal, self.class_names))

    def captions_of(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        """All captions of a row. Raises Unreadable where the column holds something else."""
        value = row.get(self.captions) if self.captions else None
        try:
            return () if is_absent(value) else captions_in(value)
        except ValueError as error:
            mend = "name the column with the words, as ?column=caption"
            raise Unreadable(f"its {self.captions} is no text", mend) from error

    def label_of(self, row: Mapping[str, Any]) -> int:
        """The row's class, `NO_LABEL` where it says none."""
        label = label_in(row.get(self.label)) if self.label else None
        if label in self.classes:
            return self.classes.index(label)
        number = int(label) if label and label.isdecimal() and not self.classes else NO_LABEL
        return number if number < len(self.class_names) else NO_LABEL


def columns_of(
    place: str, features: Mapping[str, Any], notes: Notes, options: Options = NO_OPTIONS
) -> Columns:
    """The columns of a data set with these features; without the classes of a label that is plain
    words or numbers.

    Args:
        place: what the data set is called in a sentence.
        features: its columns and what `datasets` says of each.
        notes: gain the columns of words that are not read.
        options: "column" names the one with the words.

    Raises:
        MuseError: where none holds images, and where there is no such column.
    """
    images, words, labels = (
        known(features, table) for table in (IMAGE_COLUMNS, CAPTION_COLUMNS, LABEL_COLUMNS)
    )
    if not images:
        raise MuseError(
            f"{place} has no column of images (it has: {', '.join(features)}): it should be called "
            f"{' or '.join(IMAGE_COLUMNS[:3])}, and hold images, not their addresses."
        )
    asked = options.get("column")
    if asked and asked not in features:
        raise unknown(f"column of {place}", asked, features)
    texts = [name for name in features if getattr(features[name], "dtype", "") == "string"]
    chosen = asked or next(iter(words), None)
    read = (chosen, images[0], *labels)
    called = unread_words(features, [])
    for name in [name for name in called or texts if name not in read]:
        notes.add("column of words", name, f"ask for it with ?column={name}")
    label = next(iter(labels), None)
    kind = features[label] if label else None
    names = getattr(getattr(kind, "feature", kind), "names", None) or ()
    return Columns(images[0], chosen, label, class_words(names, spaces=False))
