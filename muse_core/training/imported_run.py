"""An imported tokenizer among the runs: where the last stage of a run leaves its own; or in a
folder.
"""

import hashlib
from pathlib import Path

from muse_core import paths
from muse_core.config.paper_presets import muse_release
from muse_core.errors import MuseError
from muse_core.models.release_checkpoint import ImportedRelease
from muse_core.paths import TOKENIZER_FOLDER
from muse_core.results.records import write_json
from muse_core.training.saving import save_whole

STAGE = muse_release().curriculum.stages[-1].name
"""The stage under whose name notebooks look for the tokenizer; the authors trained all three."""
RECORD = "imported.json"


def destination(into: str) -> tuple[Path, str]:
    """The folder of the tokenizer, and the run's name, "" where a folder is meant: anything with a
    slash, and what is a folder already.

    Raises:
        MuseError: Where the folder, or anything of that run, is there, or it is no name of a run.
    """
    is_folder = "/" in into or into.startswith((".", "~")) or paths.user_path(into).is_dir()
    run = "" if is_folder else paths.check_run_name(into)
    folder = paths.run_folder(run) / STAGE / TOKENIZER_FOLDER if run else paths.user_path(into)
    taken = (paths.run_folder(run), paths.report_folder(run)) if run else (folder,)
    for each in taken:
        if each.exists() and (not each.is_dir() or any(each.iterdir())):
            raise MuseError(
                f"{each} is not empty: name another run or folder with --into, or remove it."
            )
    return folder, run


def keep_imported(imported: ImportedRelease, folder: Path, run: str) -> None:
    """Save the tokenizer, and note in the run's records what it came from. Raises MuseError when
    the disk refuses.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    save_whole(imported.tokenizer, folder)
    if run:
        with imported.file.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        note = {
            "run": run,
            "imported": imported.file.name,
            "sha256": digest,
            "left_out": len(imported.left_out),
            "routing": imported.tokenizer.config.routing,
            "form": imported.tokenizer.config.form,
        }
        write_json(paths.records_folder(run) / RECORD, note)
