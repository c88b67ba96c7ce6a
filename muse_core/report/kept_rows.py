"""What the repository keeps of a study: one small file for each finished run.

A study of many hours is finished over several sittings, by several people: a run whose row is kept
under the same configuration is not run again.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muse_core import paths
from muse_core.config.preset import Preset
from muse_core.errors import MuseError
from muse_core.results.measurements import Row
from muse_core.results.records import plain, read_record, write_json
from muse_core.results.trained_code import (
    CODE,
    code_digests,
    file_digest,
    folder_fingerprint,
    own_digest,
    own_file,
)

PARTS = ("backbone", "autoencoder", "teacher", "text_tower")
MEASURING = ("evaluation",)
FOLDERS = (*CODE, *MEASURING)
"""Whose code decides a row's figures."""


@dataclass(frozen=True)
class KeptRow:
    """One finished run, without the images behind its figures.

    ``configuration``: a digest of all that decides what is trained and measured, but for the code.
    ``code``: folder below muse_core -> digest of the code that trained and measured it."""

    row: Row
    parameters: dict[str, Any]
    configuration: str
    code: dict[str, str]
    commit: str
    seconds: float

    def other_code(self) -> list[str]:
        """Folders whose code is another now."""
        now = code_by_folder(code_digests(FOLDERS))
        held = {folder: now[folder] for folder in YOUNGER_FOLDERS} | self.code
        return [folder for folder in FOLDERS if held.get(folder) != now[folder]]


def kept_file(study: str, row: str, seed: int) -> Path:
    """Where the repository keeps a run of a study."""
    return paths.root() / "reports" / "studies" / study / "rows" / f"{row}.{seed}.json"


def read_kept(file: Path) -> KeptRow | None:
    """None where there is none. Raises MuseError for one that is damaged."""
    if not file.is_file():
        return None
    try:
        return read_record(file, KeptRow)
    except MuseError as error:
        raise MuseError(
            f"The kept row {file} is damaged: take it from the repository again, or delete it and "
            "run its study again."
        ) from error


def write_kept(file: Path, kept: KeptRow) -> Path:
    """Raises MuseError when the disk refuses."""
    return write_json(file, plain(kept))


YOUNGER_FOLDERS = ("baselines", "unified")
"""Younger than kept rows, which they had no part in."""
YOUNGER = {"gpu_memory": 0.0, "connector.form": "muse"}
"""Fields of a preset that are younger than kept rows -> the default at which they say nothing, so
that a row of before stays a row.
"""


DATA = Path(__file__).resolve().parents[1] / "data"
ASKING = (DATA / "scene_questions.py", DATA / "scenes.py")
DRAWING = (*ASKING, DATA / "scene_edits.py", DATA / "scene_facts.py")
OF_LANGUAGE = {"pairs": ASKING, "prompts": DRAWING}
"""A parameter that only rows with a language model have, those that answer and those that draw ->
the code that says what is asked for, which no folder's digest holds.
"""
OF_SYSTEMS = ("system", "learning_rate", "generator_seed", "denoiser_steps", *OF_LANGUAGE)
"""Parameters that only rows of Table 1 and of the language side have."""


def configuration_digest(preset: Preset, parameters: dict[str, Any]) -> str:
    """Of a preset with its pretrained parts' own weights, and of a run's other parameters.

    Where the parts lie and what the run is called does not count.
    """
    resolved = plain(preset) | {"name": ""}
    if asking := next((files for name, files in OF_LANGUAGE.items() if name in parameters), ()):
        reader = Path(resolved["language_model"])
        resolved["language_model"] = folder_fingerprint(reader) if reader.is_dir() else str(reader)
        resolved["asked"] = [file_digest(file) for file in asking]
    else:
        del resolved["language"], resolved["language_model"]
    if "prompts" not in parameters:
        del resolved["drawing"], resolved["drawing_connector"]
    for field, default in YOUNGER.items():
        *inner, last = field.split(".")
        holder = resolved[inner[0]] if inner else resolved
        if holder[last] == default:
            del holder[last]
    for part in PARTS:
        location = resolved["foundations"][part]
        local = Path(location).is_dir()
        resolved["foundations"][part] = folder_fingerprint(Path(location)) if local else location
    own = {name: parameters.get(name) for name in ("data", "split", "seed", "geometry_every")}
    own |= {name: parameters[name] for name in OF_SYSTEMS if name in parameters}
    if file := own_file(str(own.get("system", ""))):
        # Where a file lies does not count, and what it holds does.
        own["system"] = [file.name, str(own["system"]).rpartition(":")[2], own_digest(file)]
    if own["data"] == "scenes":
        own["judge"] = folder_fingerprint(paths.foundations("tiny") / "scene_detector")
    text = json.dumps([resolved, own], sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def code_by_folder(files: Mapping[str, str]) -> dict[str, str]:
    """Digests of files below muse_core -> one of each folder that has some."""
    found = {name.split("/")[0]: hashlib.blake2b(digest_size=12) for name in files}
    for name, digest in sorted(files.items()):
        found[name.split("/")[0]].update(f"{name} {digest}\n".encode())
    return {folder: digest.hexdigest() for folder, digest in found.items()}
