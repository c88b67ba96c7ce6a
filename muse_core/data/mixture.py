"""`mix:27*SOURCE,5*SOURCE`: several sources by ratio, such as the paper's 27, 5 and 4 million
pairs.

In training an epoch is long enough to see the whole of every source: the one that lasts longest at
its ratio is seen once, and a smaller one starts again as often as its share needs. For val and test
nothing repeats: an epoch ends with the first source that is exhausted.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from muse_core.data.batch import IGNORED_PIXEL, NO_LABEL, Batch, Source, StreamedSource
from muse_core.data.reading import translated
from muse_core.errors import MuseError

EXAMPLE = "write for example mix:27*wds:a/{000..026}.tar,5*captions:PATH,4*scenes"

_NUMBER = r"\d{1,9}(?:\.\d{1,6})?"
_PART = re.compile(rf"\s*({_NUMBER})\s*\*(.*)", re.DOTALL)
_BETWEEN = re.compile(rf",(?=\s*{_NUMBER}\s*\*)(?![^{{}}]*}})")
"""A comma before a number and "*", and not inside braces."""


@dataclass(frozen=True)
class Corpus:
    """One source of a mixture; ``weight``: its part of the whole, in the units of the others."""

    weight: Fraction
    source: Source


class Mixture(Source):
    """Corpora by ratio; any first n samples hold it too. Their classes, and those of their masks,
    are joined by name.

    Args:
        corpora: the sources and their weights.
        repeats: whether a corpus that is exhausted starts again.
    """

    def __init__(self, corpora: Sequence[Corpus], repeats: bool = True) -> None:
        self.corpora, self.repeats = tuple(corpora), repeats
        sources = [corpus.source for corpus in self.corpora]
        weights = [corpus.weight for corpus in self.corpora]
        self.counts = shares(weights, [len(source) for source in sources], repeats)
        self.name = " + ".join(source.name for source in sources)
        self.class_names = _joined(source.class_names for source in sources)
        self.mask_class_names = _joined(source.mask_class_names for source in sources)
        self.notes = _joined(source.notes for source in sources)
        self.fingerprint = "mix/" + "+".join(
            f"{one.weight}*{one.source.fingerprint}" for one in self.corpora
        )

    def __len__(self) -> int:
        return sum(self.counts)

    def described(self) -> "Mixture":
        corpora = [replace(one, source=one.source.described()) for one in self.corpora]
        return Mixture(corpora, self.repeats)

    def class_prompts(self) -> list[list[str]]:
        """Each corpus words its own classes, unless they use different numbers of sentences."""
        own: dict[str, list[str]] = {}
        for source in (corpus.source for corpus in reversed(self.corpora)):
            own |= dict(zip(source.class_names, source.class_prompts(), strict=True))
        same = len({len(sentences) for sentences in own.values()}) < 2
        return [own[name] for name in self.class_names] if same else super().class_prompts()

    @cached_property
    def order(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(corpus, position in it, how often it started again before) of every sample; each corpus
        is spread evenly over the epoch.
        """
        place = np.concatenate([(np.arange(count) + 0.5) / count for count in self.counts if count])
        corpus = np.repeat(np.arange(len(self.counts), dtype=np.uint16), self.counts)
        rounds = [
            np.divmod(np.arange(count), len(one.source))
            for count, one in zip(self.counts, self.corpora, strict=True)
        ]
        again, position = np.concatenate(rounds, axis=1)
        order = np.argsort(place, kind="stable")
        return corpus[order], position[order], again[order]

    def __getitems__(self, indices: list[int]) -> Batch:
        return self._gathered(
            indices, lambda one, positions, _: self.corpora[one].source.__getitems__(positions)
        )

    def drawn(self, indices: list[int], seed: int, epoch: int) -> Batch:
        """Other captions each time a corpus is seen, also where it is seen again in one epoch."""

        def drawn(one: int, positions: list[int], again: int) -> Batch:
            source = self.corpora[one].source
            rounds = -(-self.counts[one] // len(source))
            return source.drawn(positions, seed, epoch * rounds + again)

        return self._gathered(indices, drawn)

    def _gathered(self, indices: list[int], read: Callable[[int, list[int], int], Batch]) -> Batch:
        """One batch of what ``read`` gives for (corpus, positions in it, how often it started
        again).
        """
        corpora, positions, again = (column[indices] for column in self.order)
        parts, places = [], []
        for one, turn in sorted(set(zip(corpora.tolist(), again.tolist(), strict=True))):
            at = np.flatnonzero((corpora == one) & (again == turn))
            batch = read(one, positions[at].tolist(), turn)
            parts.append(self._renamed(self.corpora[one].source, batch))
            places.append(at)
        back = np.argsort(np.concatenate(places)).tolist()
        return Batch(
            images=torch.cat([part.images for part in parts])[back],
            captions=_reordered([part.captions for part in parts], back),
            labels=torch.cat([part.labels for part in parts])[back],
            ids=_reordered([part.ids for part in parts], back),
            class_masks=_masks([part.class_masks for part in parts], parts, back, IGNORED_PIXEL),
            instance_masks=_masks([part.instance_masks for part in parts], parts, back, 0),
            skipped=_joined(part.skipped for part in parts),
            enlarged=_joined(part.enlarged for part in parts),
        )

    def _renamed(self, source: Source, batch: Batch) -> Batch:
        """The batch with the mixture's numbers for its classes."""
        table = {n: self.class_names.index(name) for n, name in enumerate(source.class_names)}
        batch = replace(batch, labels=translated(batch.labels, table, NO_LABEL))
        if batch.class_masks is None:
            return batch
        names = enumerate(source.mask_class_names)
        table = {number: self.mask_class_names.index(name) for number, name in names}
        return replace(batch, class_masks=translated(batch.class_masks, table, IGNORED_PIXEL))


def shares(weights: Sequence[Fraction], lengths: Sequence[int], repeats: bool) -> list[int]:
    """How many samples an epoch takes of each corpus.

    Args:
        weights: the ratio.
        lengths: samples in each corpus.
        repeats: whether the epoch goes on until every corpus was seen whole, or ends with the
            first.
    """
    total = sum(weights)
    epochs = [length * total / weight for weight, length in zip(weights, lengths, strict=True)]
    epoch = max(epochs) if repeats else min(epochs)
    return [int(epoch * weight / total) for weight in weights]


def open_mixture(text: str, opener: Callable[[str], Source], repeats: bool) -> Mixture:
    """The mixture that "27*SOURCE,5*SOURCE" describes.

    Args:
        text: what follows ``mix:``.
        opener: opens each source.
        repeats: as in `Mixture`.

    Raises:
        MuseError: for another text, for a corpus of which the ratio leaves nothing, and for one
            that is streamed.
    """
    what = f"The mixture {text[:200]!r}"
    corpora = [Corpus(weight, opener(spec)) for weight, spec in parsed_mixture(text)]
    streams = [one.source.name for one in corpora if isinstance(one.source, StreamedSource)]
    if streams:
        raise MuseError(
            f"{what} has a part that is streamed, {streams[0]}: a stream trains alone; read that "
            "part with hf: or wds:."
        )
    mixture = Mixture(corpora, repeats)
    if not all(mixture.counts):
        name = corpora[mixture.counts.index(0)].source.name
        raise MuseError(f"{what} leaves nothing of {name}: give it a larger share.")
    return mixture


def parsed_mixture(text: str) -> list[tuple[Fraction, str]]:
    """(weight, source) of each part.

    Raises:
        MuseError: for another text, and for a mixture in a mixture.
    """
    parts = [_PART.fullmatch(part) for part in _BETWEEN.split(text)]
    found = [(Fraction(part[1]), part[2].strip()) for part in parts if part]
    wrong = ""
    if not all(parts) or not all(weight > 0 and spec for weight, spec in found):
        wrong = "is not NUMBER*SOURCE,NUMBER*SOURCE with positive numbers"
    elif any(spec.startswith("mix:") for _, spec in found):
        wrong = "holds a mixture"
    if wrong:
        raise MuseError(f"The mixture {text[:200]!r} {wrong}: {EXAMPLE}.")
    return found


def _joined(several: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for names in several for name in names))


def _reordered(several: list[tuple[str, ...]], order: list[int]) -> tuple[str, ...]:
    together = [word for words in several for word in words]
    return tuple(together[place] for place in order)


def _masks(
    masks: list[Tensor | None], parts: list[Batch], order: list[int], otherwise: int
) -> Tensor | None:
    """One after the other, with ``otherwise`` for corpora that have none; None where no corpus has
    one.
    """
    if all(mask is None for mask in masks):
        return None
    filled = [
        torch.full((len(part), *part.images.shape[-2:]), otherwise) if mask is None else mask
        for mask, part in zip(masks, parts, strict=True)
    ]
    return torch.cat(filled)[order]
