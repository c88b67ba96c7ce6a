"""Images for the official scorers: GenEval's and WISE's prompts drawn, ImgEdit's images edited,
each in its own layout. `MADE_BY` in the folder says whose images these are, and of which prompts:
those are not drawn again.
"""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from tqdm import tqdm

from muse_core.errors import MuseError
from muse_core.results.records import read_json, write_json
from muse_core.results.trained_code import file_digest
from muse_core.training.freshness import weights_digest
from muse_core.unified.geneval import METADATA, SAMPLES, read_geneval, write_geneval
from muse_core.unified.imgedit import read_imgedit, write_edited
from muse_core.unified.unified_model import UnifiedModel
from muse_core.unified.wise import read_wise, write_drawn, write_prompts

Made = TypeVar("Made")
MADE_BY = "made_by.json"
GENEVAL_IMAGES = 4
"""Of each prompt, as the official protocol has it."""


def draw_geneval(
    model: UnifiedModel,
    prompts: str | Path,
    folder: str | Path,
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
            images for other prompts, or the disk refuses.
    """
    if not isinstance(images, int) or images < 1:
        raise MuseError(f"images must be 1 or more ({GENEVAL_IMAGES} officially): got {images!r}.")
    benchmark, place = read_geneval(prompts), Path(folder)
    wanted = {f"{prompt.index:05d}": json.dumps(prompt.line()) for prompt in benchmark.prompts}
    kept = Kept.of(place, model, seed, wanted)
    notes = [*benchmark.notes]
    for prompt in _bar(benchmark.prompts, "GenEval"):
        name = f"{prompt.index:05d}"
        files = [place / name / SAMPLES / f"{number:05d}.png" for number in range(images)]
        if kept.has(name, [*files, place / name / METADATA]):
            continue
        said = [prompt.prompt] * images
        what = f"line {prompt.index + 1}, {prompt.prompt!r}"
        if drawn := _made(notes, what, model.draw, said, generator=_noise(seed)):
            write_geneval(place, prompt, drawn)
            kept.add(name, wanted[name])
    return tuple(notes)


def draw_wise(
    model: UnifiedModel,
    files: str | Path | Sequence[str | Path],
    folder: str | Path,
    seed: int = 42,
) -> tuple[str, ...]:
    """Every prompt of WISE's files as ``<prompt_id>.png``; the rest as `draw_geneval`."""
    benchmark, place = read_wise(files), Path(folder)
    wanted = {str(prompt.index): prompt.prompt for prompt in benchmark.prompts}
    kept = Kept.of(place, model, seed, wanted)
    notes = [*benchmark.notes]
    for prompt in _bar(benchmark.prompts, "WISE"):
        name = str(prompt.index)
        if kept.has(name, [place / f"{name}.png"]):
            continue
        what = f"prompt {name}, {prompt.prompt!r}"
        if drawn := _made(notes, what, model.draw, prompt.prompt, generator=_noise(seed)):
            write_drawn(place, prompt, drawn[0])
            kept.add(name, prompt.prompt)
    write_prompts(place, [each for each in benchmark.prompts if str(each.index) in kept.made])
    return tuple(notes)


def edit_imgedit(
    model: UnifiedModel, benchmark: str | Path, folder: str | Path, seed: int = 42
) -> tuple[str, ...]:
    """Every instruction of ImgEdit's folder as ``<key>.png``; results as `draw_geneval`, and a
    sentence on each edit that came with a note.

    Args:
        model: Edits.
        benchmark: The folder with ``singleturn.json`` and the images.
        folder: Takes the edited images.
        seed: Of the noise.
    """
    found, place = read_imgedit(benchmark), Path(folder)
    if place.resolve() == Path(benchmark).resolve():
        raise MuseError(f"{place} is the benchmark itself: give another folder for edited images.")
    asked = {item.key: f"{item.prompt} | {file_digest(item.image)}" for item in found.items}
    kept = Kept.of(place, model, seed, asked)
    notes = [*found.notes]
    for item in _bar(found.items, "ImgEdit"):
        if kept.has(item.key, [place / f"{item.key}.png"]):
            continue
        given, what = (item.image, item.prompt), f"item {item.key}, {item.prompt!r}"
        if edited := _made(notes, what, model.edit, *given, generator=_noise(seed)):
            write_edited(place, [item], [edited.image])
            kept.add(item.key, asked[item.key])
            notes += [f"{what}: {edited.note}"] if edited.note else []
    return tuple(notes)


@dataclass(frozen=True)
class Kept:
    """What a folder says of its images: ``made_by``, a model, how it reads and samples, and a seed;
    ``made``, what each name was made of.
    """

    file: Path
    made_by: dict[str, Any]
    made: dict[str, str]

    @classmethod
    def of(cls, folder: Path, model: UnifiedModel, seed: int, asked: dict[str, str]) -> "Kept":
        """Raises MuseError where the folder holds another's, or what was made of something else."""
        file = folder / MADE_BY
        made_by = {
            "model": weights_digest(model),
            "reads": model.reads,
            "shift": model.drawer.config["shift"],
            "seed": seed,
        }
        if not file.exists():
            if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                raise MuseError(f"{folder} holds what was not made here: give an empty folder.")
            write_json(file, {"made_by": made_by, "made": {}})
        record = read_json(file)
        if (other := record.get("made_by")) != made_by:
            raise MuseError(
                f"{folder} holds what another model or seed made ({other}), and this is {made_by}: "
                "give an empty folder."
            )
        made = {str(name): str(each) for name, each in dict(record.get("made", {})).items()}
        for name in asked.keys() & made.keys():
            if asked[name] != made[name]:
                raise MuseError(
                    f"{folder} holds {name} made of {made[name]!r}, and it is to be made of "
                    f"{asked[name]!r}: give an empty folder."
                )
        return cls(file, made_by, made)

    def has(self, name: str, files: Iterable[Path]) -> bool:
        """Whether it was made, and is still there."""
        return name in self.made and all(file.is_file() for file in files)

    def add(self, name: str, of: str) -> None:
        """Raises MuseError when the disk refuses."""
        self.made[name] = of
        write_json(self.file, {"made_by": self.made_by, "made": self.made})


def _bar(rows: Sequence, words: str) -> tqdm:
    return tqdm(rows, words, file=sys.stdout, mininterval=2)


def _noise(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _made(
    notes: list[str], what: str, make: Callable[..., Made], *given: Any, **options: Any
) -> Made | None:
    """What is made; nothing, and a note, where the words or the image cannot be read."""
    try:
        return make(*given, **options)
    except MuseError as error:
        notes.append(f"{what}: {error}")
        return None
