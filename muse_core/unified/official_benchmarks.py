"""Images for the official scorers: GenEval's and WISE's prompts drawn, ImgEdit's images edited,
each in its own layout. What is there already is not drawn again, and `MADE_BY` in the folder says
whose it is.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from tqdm import tqdm

from muse_core.errors import MuseError
from muse_core.results.records import read_json, write_json
from muse_core.training.freshness import weights_digest
from muse_core.unified.geneval import METADATA, SAMPLES, read_geneval, write_geneval
from muse_core.unified.imgedit import read_imgedit, write_edited
from muse_core.unified.unified_model import UnifiedModel
from muse_core.unified.wise import read_wise, write_wise

Made = TypeVar("Made")
MADE_BY = "made_by.json"
GENEVAL_IMAGES = 4
"""Of each prompt, as the official protocol has it."""


def draw_geneval(
    model: UnifiedModel,
    prompts: str | Path,
    folder: Path,
    images: int = GENEVAL_IMAGES,
    seed: int = 42,
) -> tuple[str, ...]:
    """Every prompt of the file, by the same noise for each.

    Args:
        model: Draws.
        prompts: The official ``evaluation_metadata.jsonl``.
        folder: Takes ``00000/samples/00000.png`` and ``00000/metadata.jsonl``, and so on.
        images: Of each prompt.
        seed: Of the noise.

    Returns:
        A sentence on each prompt that was left out.

    Raises:
        MuseError: The file cannot be read, the folder holds what another model or seed made, or
            the disk refuses.
    """
    benchmark = read_geneval(prompts)
    _own(folder, model, seed)
    notes = [*benchmark.notes]
    for prompt in _bar(benchmark.prompts, "GenEval"):
        place = folder / f"{prompt.index:05d}"
        done = len([*(place / SAMPLES).glob("*.png")]) >= images and (place / METADATA).is_file()
        said = [prompt.prompt] * images
        if not done and (drawn := _made(notes, model.draw, said, generator=_noise(seed))):
            write_geneval(folder, prompt, drawn)
    return tuple(notes)


def draw_wise(
    model: UnifiedModel, files: Sequence[str | Path], folder: Path, seed: int = 42
) -> tuple[str, ...]:
    """Every prompt of WISE's files as ``<prompt_id>.png``; the rest as `draw_geneval`."""
    benchmark = read_wise(files)
    _own(folder, model, seed)
    notes = [*benchmark.notes]
    for prompt in _bar(benchmark.prompts, "WISE"):
        if (folder / f"{prompt.index}.png").is_file():
            continue
        if drawn := _made(notes, model.draw, prompt.prompt, generator=_noise(seed)):
            write_wise(folder, [prompt], drawn)
    return tuple(notes)


def edit_imgedit(
    model: UnifiedModel, benchmark: str | Path, folder: Path, seed: int = 42
) -> tuple[str, ...]:
    """Every instruction of ImgEdit's folder as ``<key>.png``; results as `draw_geneval`.

    Args:
        model: Edits.
        benchmark: The folder with ``singleturn.json`` and the images.
        folder: Takes the edited images.
        seed: Of the noise.
    """
    found = read_imgedit(benchmark)
    _own(folder, model, seed)
    notes = [*found.notes]
    for item in _bar(found.items, "ImgEdit"):
        if (folder / f"{item.key}.png").is_file():
            continue
        given = item.image, item.prompt
        if edited := _made(notes, model.edit, *given, generator=_noise(seed)):
            write_edited(folder, [item], [edited.image])
    return tuple(notes)


def _own(folder: Path, model: UnifiedModel, seed: int) -> None:
    """Write down whose images these are. Raises MuseError where the folder says another's."""
    made_by = {"drawer": weights_digest(model.drawer), "seed": seed}
    if (file := folder / MADE_BY).exists() and (other := read_json(file)) != made_by:
        raise MuseError(
            f"{folder} holds what another model or seed made ({other}), and this is {made_by}: "
            "give an empty folder."
        )
    write_json(file, made_by)


def _bar(rows: Sequence, words: str) -> tqdm:
    return tqdm(rows, words, file=sys.stdout, mininterval=2)


def _noise(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _made(notes: list[str], make: Callable[..., Made], *given: Any, **options: Any) -> Made | None:
    """What is made; nothing, and a note, where the words or the image cannot be read."""
    try:
        return make(*given, **options)
    except MuseError as error:
        notes.append(str(error))
        return None
