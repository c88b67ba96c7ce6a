"""Which words an image is shown with: one caption of several, one sentence of a long one; a pure
function of seed and name.
"""

import re
from collections.abc import Sequence

from muse_core.data.splits import hash_fraction

LONG_CAPTION = 50
"""Words beyond which one sentence is sampled: about what CLIP's 77 tokens hold."""

MOST_CHARACTERS = 100_000
"""Of one caption; what follows is cut, since no text tower reads so far."""

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\s*\n\s*")


def picked_caption(captions: Sequence[str], name: str, seed: int, whole: bool = False) -> str:
    """One of an image's captions, by a hash of (seed, name); of a long one a sentence, unless asked
    for ``whole``.
    """
    caption = captions[int(hash_fraction(f"{seed}/{name}") * len(captions))]
    if whole or len(caption.split()) <= LONG_CAPTION:
        return caption
    sentences = [sentence for sentence in _SENTENCE_END.split(caption) if sentence.strip()]
    return sentences[int(hash_fraction(f"{seed}/{name}/sentence") * len(sentences))]


def clean_captions(texts: object) -> tuple[str, ...]:
    """The captions in a JSON value, a text or a list of texts: trimmed, none empty, and encodable.

    Raises ValueError for another kind of value.
    """
    several = [texts] if isinstance(texts, str) else texts
    if not isinstance(several, list):
        raise ValueError("captions are a text or a list of texts")
    cleaned = (_clean(text) for text in several if isinstance(text, str))
    return tuple(text for text in cleaned if text)


def _clean(text: str) -> str:
    """Half a surrogate pair, which JSON can say and no tokenizer takes, becomes "?"."""
    return text[:MOST_CHARACTERS].encode("utf-8", "replace").decode().strip()
