"""Where a network lies that somebody names. Imports nothing that takes time, so that a misspelt
word is told at once.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from muse_core import paths
from muse_core.errors import MuseError, shown

TIMM = "timm:"
FORMS = (
    "a folder with config.json and safetensors weights, a run of this workspace, a hub id "
    "(OWNER/NAME) or timm:NAME"
)


@dataclass(frozen=True)
class NetworkPlace:
    """``given``: as it was typed; ``folder``: on this machine, None for a hub id and a name of
    timm.
    """

    given: str
    folder: Path | None = None

    @property
    def title(self) -> str:
        """What tables call it: the name of its run or folder, its id or its name in timm; never
        where it lies on this machine.
        """
        if self.folder is None:
            return self.given
        parents = self.folder.parents
        of_stage = self.folder.name == paths.TOKENIZER_FOLDER and len(parents) > 1
        kinds = (paths.MUSE_STAGES, paths.SYSTEM_STAGES)
        known = of_stage and any(paths.stage_tokenizers(parents[1], kind) for kind in kinds)
        return f"{parents[1].name}, {parents[0].name}" if known else self.folder.name

    @property
    def file_stem(self) -> str:
        """The title as a file's name: letters, digits, dots, underscores and hyphens, of a bounded
        length.
        """
        return re.sub(r"[^A-Za-z0-9._]+", "-", self.title)[-80:].strip("-.") or "network"


def network_place(given: str) -> NetworkPlace:
    """Where the network is that a word names.

    Raises:
        MuseError: It names nothing, a file, or a folder that holds no network.
    """
    if given.startswith(TIMM):
        return NetworkPlace(given)
    folder = paths.user_path(given)
    if folder.is_file():
        raise MuseError(f"{shown(given)} is a file: give the folder that it lies in.")
    folders = [folder]
    folders += [paths.run_folder(given)] if paths.workspace() and paths.is_run_name(given) else []
    kinds = (paths.MUSE_STAGES, paths.SYSTEM_STAGES)
    inside = (paths.tokenizer_inside(each, kind) for each in folders for kind in kinds)
    if found := next(filter(None, inside), None):
        return NetworkPlace(given, found)
    if folder.is_dir():
        raise MuseError(f"The folder {shown(given)} {_lacks(folder)}")
    if re.fullmatch(r"[\w.-]+/[\w.-]+", given) and not given.startswith("."):
        return NetworkPlace(given)
    raise MuseError(f"There is no network {shown(given)}: give {FORMS}.")


def _lacks(folder: Path) -> str:
    """Why a folder without config.json is no network, and what to do."""
    inside = [each.name for each in sorted(folder.iterdir()) if (each / "config.json").is_file()]
    if not inside:
        return f"holds no config.json, so nothing says which network it is: give {FORMS}."
    return f"is no network, but holds some: give one of {', '.join(inside[:8])} in it."
