"""A tokenizer by the name that somebody types: a run, a folder, an id of the hub, or nothing for
the newest.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from muse_core import paths
from muse_core.config.overrides import load_preset
from muse_core.config.preset import Preset
from muse_core.errors import MuseError, shown
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.paths import TOKENIZER_FOLDER, tokenizer_inside
from muse_core.results.records import read_json
from muse_core.results.trained_code import folder_fingerprint
from muse_core.training.stage_run import preset_of_run
from muse_core.training.trainer import RunFiles

TRAIN_ONE = "`muse demo` trains one in a few minutes"


@dataclass(frozen=True)
class NamedTokenizer:
    """Where it lies, a folder or a hub id; ``run`` and ``stage``, where a run of this workspace
    left it there, else "".
    """

    place: str
    run: str = ""
    stage: str = ""

    def load(self, device: torch.device | str = "cpu") -> MuseTokenizer:
        """In eval mode, without gradient. Raises MuseError where it is missing or damaged."""
        tokenizer = MuseTokenizer.from_pretrained(self.place).eval().requires_grad_(False)
        return tokenizer.to(device)

    @property
    def fingerprint(self) -> str:
        """A hash of its weights and configuration; of a hub id, the id."""
        folder = Path(self.place)
        return folder_fingerprint(folder) if folder.is_dir() else self.place

    @property
    def record(self) -> dict[str, Any]:
        """How its stage was trained, as ``records/stageN.json`` says; empty where nothing does."""
        file = RunFiles(self.run, self.stage).record_file if self.run else None
        return read_json(file) if file and file.exists() else {}

    def preset(self, named: str = "") -> Preset:
        """What it was trained with, as its run recorded it; or the one that is named.

        Raises:
            MuseError: Where no record says it and none is named.
        """
        if named:
            return load_preset(named)
        if not (record := self.record):
            raise MuseError(
                f"Nothing says what {self.place} was trained with: name it with --preset."
            )
        preset, overrides = (str(record.get(name, "")) for name in ("preset", "overrides"))
        return preset_of_run(self.run, preset, overrides, self.stage)

    def __str__(self) -> str:
        return f"{self.run}, {self.stage}" if self.run else self.place


def named_tokenizer(given: str = "") -> NamedTokenizer:
    """The tokenizer of a run (after its last finished stage), in a folder, or of the hub.

    Args:
        given: A run's name, a folder that holds a tokenizer or stages, or OWNER/NAME; nothing for
            that of the run of this workspace that is furthest, and of several such the newest.

    Raises:
        MuseError: Where there is none.
    """
    if not given:
        return _newest()
    folders = [paths.user_path(given)]
    folders += [paths.run_folder(given)] if paths.workspace() and paths.is_run_name(given) else []
    if found := next(filter(None, map(tokenizer_inside, folders)), None):
        return _of_run(found)
    if re.fullmatch(r"[\w.-]+/[\w.-]+", given) and not folders[0].exists():
        return NamedTokenizer(given)
    raise MuseError(
        f"There is no tokenizer in {shown(given)}, neither a folder nor a run of this workspace: "
        f"give one that has a finished stage; {TRAIN_ONE}."
    )


def _newest() -> NamedTokenizer:
    runs = (paths.root() / "data" / "runs").glob("*")
    found = [one for run in runs if paths.is_run_name(run.name) and (one := tokenizer_inside(run))]
    if not found:
        raise MuseError(
            f"No run of {paths.root()} has a finished stage, so there is no tokenizer to use: "
            f"{TRAIN_ONE}, or name one with --tokenizer."
        )
    written = lambda folder: (folder / "config.json").stat().st_mtime
    return _of_run(max(found, key=lambda folder: (folder.parent.name, written(folder))))


def _of_run(folder: Path) -> NamedTokenizer:
    stage, run = folder.parent.name, folder.parents[1].name
    named = bool(paths.workspace()) and paths.is_run_name(run)
    known = named and folder == RunFiles(run, stage).folder / TOKENIZER_FOLDER
    return NamedTokenizer(str(folder), *((run, stage) if known else ()))
