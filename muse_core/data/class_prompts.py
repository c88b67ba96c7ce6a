"""What a class is called: in the caption of an image that has none, and in zero-shot
classification, where the embeddings of several sentences are averaged.
"""

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

SILENT_H = ("hour", "honest", "heir")


def with_article(noun: str) -> str:
    """ "star" -> "a star", "hourglass" -> "an hourglass"."""
    vowel = noun[0].lower() in "aeiou" or noun.startswith(SILENT_H)
    return f"an {noun}" if vowel else f"a {noun}"


def photo_caption(class_name: str | None = None) -> str:
    """The caption of an image without words of its own."""
    return f"a photo of {with_article(class_name)}" if class_name else "a photo"


def class_words(names: Sequence[str], spaces: bool = True) -> tuple[str, ...]:
    """The words of classes by their names: "n01440764" -> "tench" and, with ``spaces``, "tabby_cat"
    -> "tabby cat". Two that would have the same are told apart by the names themselves.
    """
    words = [
        synsets().get(name, name)
        if _SYNSET.fullmatch(name)
        else (name.replace("_", " ") if spaces else name)
        for name in names
    ]
    count = Counter(words)
    return tuple(
        word if count[word] == 1 else f"{word} {name}" if _SYNSET.fullmatch(name) else name
        for word, name in zip(words, names, strict=True)
    )


_SYNSET = re.compile(r"n\d{8}")


@cache
def synsets() -> dict[str, str]:
    """Words of ImageNet's synsets: those that CLIP's authors chose for its thousand classes, of the
    others WordNet's first. Importing them takes seconds.
    """
    from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

    lists = files("timm.data") / "_info"
    rows = (lists / "imagenet_synset_to_lemma.txt").read_text(encoding="utf-8").splitlines()
    words = {row[:9]: row[10:].split(",")[0] for row in rows}
    thousand = (lists / "imagenet_synsets.txt").read_text(encoding="utf-8").split()
    return words | dict(zip(thousand, IMAGENET_CLASSNAMES, strict=True))


def photo_prompts(name: str) -> list[str]:
    """The 80 sentences that CLIP's authors used for ImageNet.

    "an" stands before a class that needs it. Importing them takes seconds, and drawn scenes do
    without.
    """
    from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES

    return [
        template(name).replace(f"a {name}", with_article(name))
        for template in OPENAI_IMAGENET_TEMPLATES
    ]
