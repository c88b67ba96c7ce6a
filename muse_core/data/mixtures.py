"""`mix:27*SOURCE,5*SOURCE`: several sources by ratio, as the paper's corpora of 27, 5 and 4 million
pairs.

An epoch is long enough for the scarcest corpus to be seen whole; one that has fewer samples than
its share starts again when it is exhausted, so that no sample is seen twice more often than another
of its corpus. For val and test nothing repeats: the epoch ends with the first corpus."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from muse_core.data.batch import IGNORED_PIXEL, NO_LABEL, Batch, Source
from muse_core.data.reading import translated
from muse_core.errors import MuseError

EXAMPLE = "write for example mix:27*wds:a/{000..026}.tar,5*captions:PATH,4*scenes"

_PART = re.compile(r"\s*(\d{1,9}(?:\.\d{1,6})?)\s*\*(.*)", re.DOTALL)
_NEXT_PART = re.compile(r"\s*\d{1,9}(?:\.\d{1,6})?\s*\*")


@dataclass(frozen=True)
class Corpus:
    """One source of a mixture; ``weight``: its part of the whole, in the units of the others."""

    weight: Fraction
    source: Source


class Mixture(Source):
    """Corpora by ratio. Their classes, and those of their masks, are joined by name.

    Any first n samples hold the ratio too. ``repeats``: a corpus that is exhausted starts again
    (see above)."""

    def __init__(self, corpora: Sequence[Corpus], repeats: bool = True) -> None:
        self.corpora, self.repeats = tuple(corpora), repeats
        self.counts = shares(
            [corpus.weight for corpus in self.corpora],
            [len(corpus.source) for corpus in self.corpora],
            repeats,
        )
        self.name = " + ".join(corpus.source.name for corpus in self.corpora)
        sources = [corpus.source for corpus in self.corpora]
        self.class_names = _joined(source.class_names for source in sources)
        self.mask_class_names = _joined(source.mask_class_names for source in sources)
        self.fingerprint = "mix/" + "+".join(
            f"{one.weight}*{one.source.fingerprint}" for one in self.corpora
        )

    def __len__(self) -> int:
        return sum(self.counts)

    def described(self) -> "Mixture":
        return Mixture(
            [Corpus(one.weight, one.source.described()) for one in self.corpora], self.repeats
        )

    @cached_property
    def places(self) -> int | None:  # type: ignore[override]
        """Of the corpus that is read at the fewest places."""
        return min(
            (one.source.places for one in self.corpora if one.source.places is not None),
            default=None,
        )

    def lanes(self, count: int, generator: torch.Generator) -> list[Tensor]:
        """Each lane is a mixture itself: that of the corpora's lanes, each corpus spread evenly
        over it.
        """
        dealt = [self._lanes_of(corpus, count, generator) for corpus in range(len(self.corpora))]
        return [_spread(several) for several in zip(*dealt, strict=True)]

    def _lanes_of(self, corpus: int, count: int, generator: torch.Generator) -> list[Tensor]:
        """One corpus's lanes, in positions of the mixture; those of its next pass follow where it
        starts again.
        """
        own = torch.from_numpy(np.flatnonzero(self.order[0] == corpus))
        source = self.corpora[corpus].source
        lanes: list[list[Tensor]] = [[] for _ in range(count)]
        for first in range(0, len(own), len(source)):
            for lane, positions in zip(lanes, source.lanes(count, generator), strict=True):
                occurrences = first + positions
                lane.append(own[occurrences[occurrences < len(own)]])
        return [torch.cat(lane) for lane in lanes]

    def class_prompts(self) -> list[list[str]]:
        """Each corpus words its own classes, unless they use different numbers of sentences."""
        own: dict[str, list[str]] = {}
        for corpus in self.corpora:
            own = (
                dict(zip(corpus.source.class_names, corpus.source.class_prompts(), strict=True))
                | own
            )
        same = len({len(sentences) for sentences in own.values()}) < 2
        return [own[name] for name in self.class_names] if same else super().class_prompts()

    @cached_property
    def order(self) -> tuple[np.ndarray, np.ndarray]:
        """(corpus, position in it) of every sample, each corpus spread evenly over the epoch."""
        place = np.concatenate([(np.arange(count) + 0.5) / count for count in self.counts if count])
        corpus = np.repeat(np.arange(len(self.counts), dtype=np.uint16), self.counts)
        position = np.concatenate(
            [
                np.arange(count) % len(one.source)
                for count, one in zip(self.counts, self.corpora, strict=True)
            ]
        )
        order = np.argsort(place, kind="stable")
        return corpus[order], position[order]

    def __getitems__(self, indices: list[int]) -> Batch:
        corpora, positions = (column[indices] for column in self.order)
        present = np.unique(corpora)
        parts = [
            self._renamed(
                self.corpora[one].source,
                self.corpora[one].source.__getitems__(positions[corpora == one].tolist()),
            )
            for one in present
        ]
        back = np.argsort(
            np.concatenate([np.flatnonzero(corpora == one) for one in present])
        ).tolist()
        return Batch(
            images=torch.cat([part.images for part in parts])[back],
            captions=_reordered([part.captions for part in parts], back),
            labels=torch.cat([part.labels for part in parts])[back],
            ids=_reordered([part.ids for part in parts], back),
            class_masks=_masks([part.class_masks for part in parts], parts, back, IGNORED_PIXEL),
            instance_masks=_masks([part.instance_masks for part in parts], parts, back, 0),
            skipped=tuple(dict.fromkeys(name for part in parts for name in part.skipped)),
            enlarged=tuple(dict.fromkeys(name for part in parts for name in part.enlarged)),
        )

    def _renamed(self, source: Source, batch: Batch) -> Batch:
        """The batch with the mixture's numbers for its classes."""
        labels = translated(batch.labels, _table(source.class_names, self.class_names), NO_LABEL)
        if batch.class_masks is None:
            return replace(batch, labels=labels)
        table = _table(source.mask_class_names, self.mask_class_names)
        return replace(
            batch, labels=labels, class_masks=translated(batch.class_masks, table, IGNORED_PIXEL)
        )


def shares(weights: Sequence[Fraction], lengths: Sequence[int], repeats: bool) -> list[int]:
    """How many samples an epoch takes of each corpus: by ratio, the whole of the scarcest one if
    they may repeat, else none twice."""
    total = sum(weights)
    epochs = [length * total / weight for weight, length in zip(weights, lengths, strict=True)]
    epoch = max(epochs) if repeats else min(epochs)
    return [int(epoch * weight / total) for weight in weights]


def open_mixture(text: str, opener: Callable[[str], Source], repeats: bool) -> Mixture:
    """The mixture that "27*SOURCE,5*SOURCE" describes; ``opener`` opens each source.

    Raises MuseError for a text that cannot be understood, and what the sources raise.
    """
    corpora = [Corpus(weight, opener(spec)) for weight, spec in parsed_mixture(text)]
    mixture = Mixture(corpora, repeats)
    if not all(mixture.counts):
        raise MuseError(
            f"mix:{text} leaves nothing of {corpora[mixture.counts.index(0)].source.name}: give it more weight."
        )
    return mixture


def parsed_mixture(text: str) -> list[tuple[Fraction, str]]:
    """(weight, source) of each part. A comma parts them where a number and "*" follow it, outside
    braces.

    Raises MuseError.
    """
    parts = [_PART.fullmatch(part) for part in _parts(text)]
    found = [(Fraction(part[1]), part[2].strip()) for part in parts if part]
    if not all(parts) or not all(weight > 0 and spec for weight, spec in found):
        raise MuseError(
            f"The mixture {text[:200]!r} is not NUMBER*SOURCE,NUMBER*SOURCE with positive numbers: {EXAMPLE}."
        )
    if any(spec.startswith("mix:") for _, spec in found):
        raise MuseError(f"The mixture {text[:200]!r} holds a mixture: {EXAMPLE}.")
    return found


def _parts(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter == "{") - (letter == "}")
        if letter == "," and depth == 0 and _NEXT_PART.match(text, place + 1):
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]


def _spread(several: Sequence[Tensor]) -> Tensor:
    """All of them in one, each spread evenly over it."""
    place = torch.cat([(torch.arange(len(one)) + 0.5) / max(1, len(one)) for one in several])
    return torch.cat(list(several))[torch.argsort(place, stable=True)]


def _joined(several: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for names in several for name in names))


def _table(names: tuple[str, ...], joined: tuple[str, ...]) -> dict[int, int]:
    return {number: joined.index(name) for number, name in enumerate(names)}


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
    blanks = [torch.full((len(part), *part.images.shape[-2:]), otherwise) for part in parts]
    return torch.cat(
        [blank if mask is None else mask for mask, blank in zip(masks, blanks, strict=True)]
    )[order]
