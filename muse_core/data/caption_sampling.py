"""Which words an image is shown with in an epoch: one caption of several, one sentence of a long
one.
"""

import re
from collections.abc import Sequence

from muse_core.data.splits import hash_fraction

LONG_CAPTION = 50
"""Words beyond which one sentence is drawn: about what CLIP's 77 tokens hold."""

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\s*\n\s*")


def drawn_caption(captions: Sequence[str], name: str, seed: int, epoch: int) -> str:
    """One of an image's captions; of a long one, a sentence.

    A pure function of its arguments, so that neither resuming nor the number of processes changes
    what is drawn. From epoch to epoch captions and sentences take turns, from a start that a hash
    of seed and name gives: n captions are all seen in n epochs.

    Args:
        captions: all captions of the image, at least one.
        name: what the sample is called.
        seed: of the training.
        epoch: counted from 0.
    """
    turn = _start(f"{seed}/{name}", len(captions)) + epoch
    rounds, place = divmod(turn, len(captions))
    caption = captions[place]
    if len(caption.split()) <= LONG_CAPTION:
        return caption
    sentences = [sentence for sentence in _SENTENCE_END.split(caption) if sentence.strip()]
    start = _start(f"{seed}/{name}/sentence", len(sentences))
    return sentences[(start + rounds) % len(sentences)]


def _start(text: str, count: int) -> int:
    return int(hash_fraction(text) * count)
