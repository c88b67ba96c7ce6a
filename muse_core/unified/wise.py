"""WISE: prompts that name a thing by what one has to know of it (Niu et al. 2025).

The official layout is read and written: JSON files with a list of ``Prompt``, ``Explanation``,
``Category``, ``Subcategory`` and ``prompt_id``, and one image a prompt, ``<prompt_id>.png``. The
official score asks a large model; here the embedded prompts are riddles, judged by a detector.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from muse_core.data.class_prompts import with_article
from muse_core.data.scene_facts import riddles
from muse_core.data.shape_templates import SHAPES
from muse_core.errors import MuseError
from muse_core.results.records import write_json, write_png
from muse_core.unified.official_files import (
    UNREADABLE,
    parsed,
    read_official,
    whole_number,
    words,
)

PROMPTS = "prompts.json"
FIELDS = ("Prompt", "Explanation", "Category", "Subcategory", "prompt_id")
WANTED = "WISE's JSON files"


@dataclass(frozen=True)
class KnowledgePrompt:
    """One prompt; ``explanation``: what it means, said outright."""

    index: int
    prompt: str
    explanation: str
    category: str
    subcategory: str = ""

    def entry(self) -> dict[str, Any]:
        """As the official file has it."""
        said = self.prompt, self.explanation, self.category, self.subcategory, self.index
        return dict(zip(FIELDS, said, strict=True))


@dataclass(frozen=True)
class KnowledgePrompts:
    """Prompts in order, and what of the files could not be read, a sentence each."""

    prompts: tuple[KnowledgePrompt, ...]
    notes: tuple[str, ...] = field(default=())


def read_wise(files: str | Path | Sequence[str | Path]) -> KnowledgePrompts:
    """One or more official files; entries that cannot be read, and numbers that stand twice, are
    noted and the rest stays.

    Raises:
        MuseError: A file is missing or no list, or there is no prompt.
    """
    found: dict[int, KnowledgePrompt] = {}
    notes: list[str] = []
    for place in map(Path, [files] if isinstance(files, (str, Path)) else files):
        try:
            said = parsed(read_official(place, WANTED))
        except ValueError as error:
            raise MuseError(f"{place} is no JSON ({error}): give {WANTED}.") from error
        if not isinstance(said, list):
            raise MuseError(f"{place} holds no list of prompts: give {WANTED}.")
        for number, entry in enumerate(said, start=1):
            try:
                prompt = _prompt(entry)
                if prompt.index in found:
                    raise ValueError(f"its number {prompt.index} stands twice")
                found[prompt.index] = prompt
            except ValueError as error:
                notes.append(f"entry {number} of {place.name}: {error}")
    if not found:
        why = "; ".join(notes[:3]) or "empty"
        raise MuseError(f"There is no prompt in WISE's files ({why}): give {WANTED}.")
    return KnowledgePrompts(tuple(found.values()), tuple(notes))


def _prompt(entry: Any) -> KnowledgePrompt:
    texts = [words(entry, name) for name in FIELDS[:-1]]
    number = entry.get("prompt_id")
    if isinstance(number, str) and number.isascii() and number.isdigit() and len(number) < 10:
        number = int(number)
    return KnowledgePrompt(whole_number(number, "prompt_id", 0), *texts)


def write_prompts(folder: Path, prompts: Sequence[KnowledgePrompt]) -> Path:
    """Prompts in the official layout, beside those that were written before.

    Raises:
        MuseError: The disk refuses, or the prompts that are there are damaged.
    """
    file, entries = folder / PROMPTS, [prompt.entry() for prompt in prompts]
    try:
        held = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
        by_number = {entry["prompt_id"]: entry for entry in [*held, *entries]}
    except (*UNREADABLE, KeyError, TypeError) as error:
        raise MuseError(f"{file} is damaged: delete it and draw again.") from error
    return write_json(file, [*by_number.values()])


def write_drawn(folder: Path, prompt: KnowledgePrompt, image: Image.Image) -> Path:
    """An image as the official scorer reads it. Raises MuseError when the disk refuses."""
    return write_png(folder / f"{prompt.index}.png", image)


def scene_riddles(count: int, seed: int = 0) -> list[KnowledgePrompt]:
    """Embedded prompts: a shape or a colour that only a fact tells; ``explanation`` names it.

    Args:
        count: How many, each riddle in turn.
        seed: Of the shapes that riddles about colours are asked with.
    """
    rng, known, found = np.random.default_rng(seed), riddles(), []
    for index in range(count):
        one, shape = known[index % len(known)], SHAPES[int(rng.integers(len(SHAPES)))]
        if one.kind == "shape":
            said, meant = one.words, with_article(one.answer)
        else:
            said = f"{with_article(shape)} in {one.words}"
            meant = with_article(f"{one.answer} {shape}")
        found.append(KnowledgePrompt(index + 1, said, meant, "drawn scenes", one.kind))
    return found
