"""What the columns of a Hugging Face data set mean, found by their names: an image, captions or a
text, a label.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from muse_core.data.batch import NO_LABEL
from muse_core.data.caption_sampling import clean_captions
from muse_core.data.class_prompts import with_article
from muse_core.data.decode import Unreadable
from muse_core.errors import MuseError

IMAGE_COLUMNS = ("image", "img", "jpg", "jpeg", "png", "webp", "pixel_values")
CAPTION_COLUMNS = ("captions", "caption", "text", "txt", "sentences", "json")
LABEL_COLUMNS = ("label", "labels", "cls", "fine_label", "class")


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
        """All captions of a row; of a column of JSON those of its entry that looks like captions.
        Raises Unreadable.
        """
        value = row.get(self.captions) if self.captions else None
        if isinstance(value, dict):
            value = next((value[name] for name in CAPTION_COLUMNS if value.get(name)), None)
        try:
            return clean_captions([] if value is None else value)
        except ValueError as error:
            raise Unreadable(f"its {self.captions} is no text") from error

    def label_of(self, row: Mapping[str, Any]) -> int:
        value = row.get(self.label) if self.label else None
        return value if isinstance(value, int) and 0 <= value < len(self.class_names) else NO_LABEL

    def template(self, label: int) -> str:
        """The caption of a row without words."""
        return (
            "a photo"
            if label == NO_LABEL
            else f"a photo of {with_article(self.class_names[label])}"
        )


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
