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

PROMPTS = "prompts.json"
FIELDS = ("Prompt", "Explanation", "Category", "Subcategory", "prompt_id")


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


def read_wise(files: Sequence[str | Path]) -> KnowledgePrompts:
    """The official files; entries without a field are noted and the rest stays.

    Raises:
        MuseError: A file is missing or no list, or there is no prompt.
    """
    prompts, notes = [], []
    for place in map(Path, files):
        try:
            said = json.loads(place.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError) as error:
            raise MuseError(
                f"The prompts {place} cannot be read ({type(error).__name__}): give WISE's JSON "
                "files."
            ) from error
        if not isinstance(said, list):
            raise MuseError(f"{place} holds no list of prompts: give WISE's JSON files.")
        for number, entry in enumerate(said, start=1):
            lacking = [name for name in FIELDS if not isinstance(entry, dict) or name not in entry]
            if lacking or not str(entry["prompt_id"]).isdigit():
                what = f"no {', '.join(lacking)}" if lacking else f"id {entry['prompt_id']!r}"
                notes.append(f"entry {number} of {place.name}: {what}")
                continue
            texts = (str(entry[name]) for name in FIELDS[:-1])
            prompts.append(KnowledgePrompt(int(entry["prompt_id"]), *texts))
    if not prompts:
        raise MuseError(f"There is no prompt in WISE's files ({'; '.join(notes[:3]) or 'empty'}).")
    return KnowledgePrompts(tuple(prompts), tuple(notes))


def write_wise(
    folder: Path, prompts: Sequence[KnowledgePrompt], images: Sequence[Image.Image]
) -> Path:
    """Images as the official scorer reads them, and the prompts beside them and beside those that
    were written before.

    Raises:
        MuseError: The disk refuses, or the prompts that are there are damaged.
    """
    file, entries = folder / PROMPTS, [prompt.entry() for prompt in prompts]
    try:
        held = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
        by_number = {entry["prompt_id"]: entry for entry in [*held, *entries]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MuseError(f"{file} is damaged: delete it and draw again.") from error
    write_json(file, [*by_number.values()])
    for prompt, image in zip(prompts, images, strict=True):
        write_png(folder / f"{prompt.index}.png", image)
    return folder


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
            words, meant = one.words, with_article(one.answer)
        else:
            words = f"{with_article(shape)} in {one.words}"
            meant = with_article(f"{one.answer} {shape}")
        found.append(KnowledgePrompt(index + 1, words, meant, "drawn scenes", one.kind))
    return found
