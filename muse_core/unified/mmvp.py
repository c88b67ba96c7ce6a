"""MMVP: pairs of images that look alike to a text-aligned encoder, with a question that only one
answer fits each (Tong et al. 2024, arXiv 2401.06209).

The official layout is a folder with ``Questions.csv`` (Index, Question, Options "(a) ... (b) ...",
Correct Answer "(a)") and ``MMVP Images/1.jpg``, ``2.jpg``, ...; items 1 and 2 are the first pair.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image

from muse_core.errors import MuseError
from muse_core.foundations.language_model import LanguageModel
from muse_core.shapes import Tokens
from muse_core.unified.conversation import (
    PLACEHOLDER,
    UNSCORED,
    Turn,
    filled,
    prompts,
)

QUESTIONS, IMAGES = "Questions.csv", "MMVP Images"
COLUMNS = {
    "index": ("Index", "lndex"),
    "question": ("Question",),
    "options": ("Options",),
    "answer": ("Correct Answer",),
}
"""What is read -> the names that its column has; the published file misspells the first."""
OPTION = re.compile(r"\(([abAB])\)\s*(.*?)\s*(?=\([abAB]\)|$)", re.DOTALL)
LONGEST_INDEX = 9
"""Digits."""
SUFFIXES = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG")


@dataclass(frozen=True)
class Item:
    """One question about one image; ``answer``: the place of the right option. ``pattern``: what
    the pair differs in, where it is known.
    """

    index: int
    image: Path
    question: str
    options: tuple[str, str]
    answer: int
    pattern: str = ""

    @property
    def pair(self) -> int:
        """Which pair it belongs to, from 0."""
        return (self.index - 1) // 2


@dataclass(frozen=True)
class Benchmark:
    """Items in order, and what of the folder could not be read, a sentence each."""

    items: tuple[Item, ...]
    notes: tuple[str, ...] = field(default=())


def read_mmvp(folder: str | Path) -> Benchmark:
    """A folder in the official layout; what is missing is noted and the rest stays.

    Raises:
        MuseError: The file of questions is missing, lacks a column, or no item is whole.
    """
    place = Path(folder)
    file = place / QUESTIONS
    try:
        with file.open(newline="", encoding="utf-8-sig") as opened:
            reader = csv.DictReader(opened)
            names = {name.strip().lower(): name for name in reader.fieldnames or ()}
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MuseError(
            f"The benchmark {place} cannot be read ({QUESTIONS}: {type(error).__name__}): give the "
            f"folder that holds {QUESTIONS} and {IMAGES}."
        ) from error
    found = {
        what: next((names[name.lower()] for name in known if name.lower() in names), "")
        for what, known in COLUMNS.items()
    }
    if lacking := [COLUMNS[what][0] for what, name in found.items() if not name]:
        raise MuseError(
            f"{file.name} in {place} has no column {', '.join(lacking)}: its columns are "
            f"{', '.join(names.values()) or 'none'}."
        )
    items, notes = [], []
    for number, row in rows:
        item = _item(place, {what: (row[name] or "").strip() for what, name in found.items()})
        if isinstance(item, Item) and any(item.index == each.index for each in items):
            item = f"its index {item.index} was there before"
        if isinstance(item, Item):
            items.append(item)
        else:
            notes.append(f"line {number} of {file.name}: {item}")
    if not items:
        raise MuseError(f"No item of {place} is whole: {'; '.join(notes[:3]) or 'it has none'}.")
    return Benchmark(tuple(items), tuple(notes))


def _item(place: Path, row: dict[str, str]) -> Item | str:
    """The item of a line, or why there is none."""
    found = [(letter.lower(), words) for letter, words in OPTION.findall(row["options"])]
    options = dict(found)
    letter = row["answer"].strip("() ").lower()
    if not (row["index"].isdecimal() and len(row["index"]) <= LONGEST_INDEX):
        return f"its index is {row['index']!r}"
    whole = len(found) == 2 and set(options) == {"a", "b"} and letter in options
    if not whole or not all(options.values()) or options["a"] == options["b"]:
        return (
            f"its options or its answer are no (a) and (b): {row['options']!r}, {row['answer']!r}"
        )
    if not row["question"]:
        return "it asks nothing"
    index = int(row["index"])
    for suffix in SUFFIXES:
        if (image := place / IMAGES / f"{index}{suffix}").is_file():
            words = row["question"], (options["a"], options["b"]), "ab".index(letter)
            return Item(index, image, *words)
    return f"its image {IMAGES}/{index}.jpg is missing"


def write_mmvp(folder: Path, items: Sequence[Item], images: Sequence[Image.Image]) -> Path:
    """A folder in the official layout. Raises MuseError when the disk refuses."""
    try:
        (folder / IMAGES).mkdir(parents=True, exist_ok=True)
        with (folder / QUESTIONS).open("w", newline="", encoding="utf-8") as opened:
            writer = csv.writer(opened)
            writer.writerow([names[0] for names in COLUMNS.values()])
            for item, image in zip(items, images, strict=True):
                options = "(a) {} (b) {}".format(*item.options)
                writer.writerow([item.index, item.question, options, f"({'ab'[item.answer]})"])
                file = folder / IMAGES / f"{item.index}.jpg"
                image.save(file, quality=100, subsampling=0)
    except OSError as error:
        raise MuseError(f"Cannot write {folder} ({error}): free some space.") from error
    return folder


@torch.no_grad()
def option_scores(
    model: LanguageModel, image: Tokens, question: str, options: Sequence[str]
) -> torch.Tensor:
    """Mean log-likelihood, in nats a word, of each option as the answer.

    Args:
        model: What speaks.
        image: What stands in the image's places, (1, image tokens, width).
        question: Without its options.
        options: Answers to choose from.
    """
    turns = [[Turn(f"{PLACEHOLDER}\n{question}", option)] for option in options]
    batch = prompts(model, turns, image.shape[1]).to(image.device)
    embedded = filled(model, batch.ids, image.expand(len(options), -1, -1))
    logits = model.network(inputs_embeds=embedded, attention_mask=batch.mask).logits
    labels = batch.labels[:, 1:]
    losses = F.cross_entropy(
        logits[:, :-1].float().transpose(1, 2), labels, ignore_index=UNSCORED, reduction="none"
    )
    return -losses.sum(1) / (labels != UNSCORED).sum(1)


@dataclass(frozen=True)
class MmvpScores:
    """``questions``: share of items whose option is right; ``pairs``: share of pairs with both
    items right, the official figure; ``right``: each item's, ``pairs_right``: each whole pair's;
    ``by_pattern``: pattern -> share of pairs.
    """

    questions: float
    pairs: float
    right: tuple[bool, ...]
    pairs_right: tuple[bool, ...]
    by_pattern: dict[str, float] = field(default_factory=dict)


def mmvp_scores(items: Sequence[Item], chosen: Sequence[int]) -> MmvpScores:
    """Of the options that were chosen, one an item; a pair counts where both its items are there.

    Raises:
        MuseError: There is no whole pair.
    """
    right = tuple(item.answer == choice for item, choice in zip(items, chosen, strict=True))
    pairs: dict[int, list[bool]] = {}
    patterns: dict[int, str] = {}
    for item, hit in zip(items, right, strict=True):
        pairs.setdefault(item.pair, []).append(hit)
        patterns[item.pair] = item.pattern
    whole = {pair: all(hits) for pair, hits in pairs.items() if len(hits) == 2}
    if not whole:
        raise MuseError("The benchmark has no whole pair: give both items of one.")
    by_pattern = {
        pattern: _share([hit for pair, hit in whole.items() if patterns[pair] == pattern])
        for pattern in dict.fromkeys(patterns[pair] for pair in whole)
        if pattern
    }
    whole_pairs = tuple(whole.values())
    return MmvpScores(_share(right), _share(whole_pairs), right, whole_pairs, by_pattern)


def _share(hits: Sequence[bool]) -> float:
    return sum(hits) / len(hits)
